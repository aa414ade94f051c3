"""Segments of every image, described: what the pasting proposer learns from and pastes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.experiment import data
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import atomic_write
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import SegmentModel, Segments, training_rows
from tinysegrank.proposals.o2p.cpmc import Examples, SegmentRanker, cpmc, ranker_examples
from tinysegrank.proposals.o2p.second_order import DescriptorReduction, Projection, describe_segments
from tinysegrank.voc import VOID, Objects, find_objects

FOLDER = "segments"
_ROWS_AN_IMAGE = 40  # descriptions an image that the projection is fitted on


class _Task(NamedTuple):
    settings: Settings
    which: str
    number: int
    folder: Path
    key: str


def used(settings: Settings) -> bool:
    """Whether the proposals are to be pasted from segments."""
    return settings.proposals.engine in ("paste", "both")


def depends_on(settings: Settings) -> Any:
    """The settings that segments depend on; none where they are not used."""
    paste = settings.proposals.paste
    return [settings.seed, paste.fit_images, paste.segments] if used(settings) else None


def make_segments(run: Run) -> None:
    """Fit the segment model on some training images, then write every image's segments and their descriptions.

    The ranker and the projections see training images only, but of all folds: they know nothing of classes. The
    regressors, which do, are fitted out of fold.
    """
    if not used(run.settings):
        return
    folder = run.folder(FOLDER)
    if not SegmentModel.is_in(folder):
        _fit_model(run)
    for which in ("train", "val"):
        names = data.names(run, which)
        tasks = [
            _Task(run.settings, which, i, folder, run.key(FOLDER))
            for i, name in enumerate(names)
            if not _path(folder, which, name).is_file()
        ]
        with run.progress.count(f"{which} images", len(names)) as advance:
            advance(len(names) - len(tasks))
            for _ in parallel_map(_write_segments, tasks, jobs=run.jobs):
                advance(1)


def _fit_model(run: Run) -> None:
    asked, count = run.settings.proposals.paste, len(data.names(run, "train"))
    chosen = np.unique(np.linspace(0, count - 1, min(asked.fit_images, count)).astype(int))
    folder, options = run.folder(FOLDER), asked.segments
    tasks = [_Task(run.settings, "train", int(i), folder, run.key(FOLDER)) for i in chosen]
    ranker_path, reduction_path = folder / "ranker.safetensors", folder / "reduction.safetensors"
    if not ranker_path.is_file():
        examples = []
        with run.progress.count("images for the segment ranker", len(tasks)) as advance:
            for example in parallel_map(_ranker_examples_of, tasks, jobs=run.jobs):
                examples.append(example)
                advance(1)
        features, overlaps = (np.concatenate(parts) for parts in zip(*examples, strict=True))
        SegmentRanker().fit(features, overlaps, rng=np.random.default_rng([run.settings.seed, 5])).save(ranker_path)
    if options.sift and not reduction_path.is_file():
        split = data.open_split(run.settings, "train")
        images = (split.image(task.number) for task in tasks[:: max(1, len(tasks) // 60)])
        DescriptorReduction.fit(images, options=options.pooling, sift=options.sift, lbp=options.lbp).save(
            reduction_path
        )
    rows = []
    with run.progress.count("images for the projection", len(tasks)) as advance:
        for part in parallel_map(_some_descriptions, tasks, jobs=run.jobs):
            rows.append(part)
            advance(1)
    rng = np.random.default_rng([run.settings.seed, 6])
    projection = Projection.fit(np.concatenate(rows), rng=rng, size=options.length)
    reduction = DescriptorReduction.load(reduction_path) if options.sift else None
    SegmentModel(options, SegmentRanker.load(ranker_path), reduction, projection).save(folder)


def _objects(task: _Task) -> tuple[Objects, np.ndarray]:
    split = data.split_in_worker(task.settings, task.which)
    labels = split.labels(task.number)
    return find_objects(labels, split.instances(task.number)), labels != VOID


def _ranker_examples_of(task: _Task) -> Examples:
    options, split = task.settings.proposals.paste.segments, data.split_in_worker(task.settings, task.which)
    sample, instances = split[task.number], split.instances(task.number)
    rng = np.random.default_rng(options.seed)
    return ranker_examples(sample.image, sample.labels, instances, options=options.cpmc, rng=rng)


def _some_descriptions(task: _Task) -> np.ndarray:
    options = task.settings.proposals.paste.segments
    image = data.split_in_worker(task.settings, task.which).image(task.number)
    ranker = SegmentRanker.load(task.folder / "ranker.safetensors")
    reduction = DescriptorReduction.load(task.folder / "reduction.safetensors") if options.sift else None
    segments = cpmc(image, ranker, options=options.cpmc, rng=np.random.default_rng(options.seed))
    rng = np.random.default_rng([task.settings.seed, 7, task.number])
    kept = np.sort(rng.permutation(len(segments))[:_ROWS_AN_IMAGE])
    return describe_segments(image, segments.take(kept), options=options.pooling, reduction=reduction)


@lru_cache(maxsize=2)
def _model_in_worker(folder: Path, settings: Settings, key: str) -> SegmentModel:  # noqa: ARG001  # key: its state
    return SegmentModel.load(folder, settings.proposals.paste.segments)


def _write_segments(task: _Task) -> None:
    """Write one image's segments; for a training image also the further rows to learn from, and all targets."""
    model = _model_in_worker(task.folder, task.settings, task.key)
    split = data.split_in_worker(task.settings, task.which)
    image, name = split.image(task.number), split.names[task.number]
    segments = model.segments(image)
    arrays: dict[str, np.ndarray] = {}
    if task.which == "train":
        rows = training_rows(segments, *_objects(task))
        described = Segments(segments.superpixels, rows.members, np.zeros(len(rows.members)))
        mirrored = described.take(np.arange(len(rows.members))[rows.objects]).mirrored()
        features = np.concatenate([model.describe(image, described), model.describe(image[:, ::-1], mirrored)])
        arrays["targets"] = np.concatenate([rows.targets, rows.targets[rows.objects]])
    else:
        features = model.describe(image, segments)
    arrays |= {
        "superpixels": segments.superpixels.astype(np.uint16),
        "members": np.packbits(segments.members, axis=1),
        "scores": segments.scores,
        "features": features,
    }
    with atomic_write(_path(task.folder, task.which, name)) as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


class Described(NamedTuple):
    """The segments of one image and their projected descriptions.

    features | (R, P) | float32 |
    """

    segments: Segments
    features: np.ndarray


def read_segments(folder: Path, which: str, name: str) -> Described:
    """The segments of one image of the run, and their descriptions."""
    with np.load(_path(folder, which, name), allow_pickle=False) as arrays:
        superpixels, packed, scores = arrays["superpixels"].astype(np.int32), arrays["members"], arrays["scores"]
        features = arrays["features"][: len(scores)]
    members = np.unpackbits(packed, axis=1, count=int(superpixels.max()) + 1).astype(np.bool_)
    return Described(Segments(superpixels, members, scores), features)


def read_rows(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows (N, P) of one training image and their targets (N, K-1).

    In order: segments, objects, the best segment of each object again, objects of the mirror image.
    """
    with np.load(_path(folder, "train", name), allow_pickle=False) as arrays:
        return arrays["features"], arrays["targets"]


def _path(folder: Path, which: str, name: str) -> Path:
    return folder / which / f"{name}.npz"
