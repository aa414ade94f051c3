"""Segments of every image, described: what the pasting proposer learns from and pastes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import IMAGES, OBJECTS, ImageOfRun, images_of, names
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import ENGINES, Settings
from tinysegrank.experiment.tasks import do_missing_images, map_tasks
from tinysegrank.files import read_compressed, write_compressed
from tinysegrank.proposals import SegmentModel, Segments, training_rows
from tinysegrank.proposals.o2p.cpmc import Examples, SegmentRanker, cpmc, ranker_examples
from tinysegrank.proposals.o2p.second_order import DescriptorReduction, Projection, describe_segments
from tinysegrank.voc import VOID, find_objects

_ROWS_PER_IMAGE = 40  # descriptions that the projection is fitted on


class DescribedSegments(NamedTuple):
    """The segments of one image and their projected descriptions.

    features | (R, P) | float32 |
    """

    segments: Segments
    features: np.ndarray


class Rows(NamedTuple):
    """The training rows of one image.

    targets | (N, K-1) | float32 | of `segments`, then of `mirrored`

    Attributes:
        segments: the segments, the objects, and the best segment of each object again.
        mirrored: the objects in the mirror image.
    """

    segments: Segments
    mirrored: Segments
    targets: np.ndarray


def make(run: Run) -> None:
    """Fit the segment model on some training images, then write every image's segments and their descriptions.

    The ranker and the projections are fitted on training images of all folds, since they don't use classes. The
    regressors, which do, are fitted without each fold.
    """
    if not SegmentModel.is_in(run.folder(STAGE.name), run.settings.proposals.paste.segments):
        _fit_model(run)
    do_missing_images(run, _write, STAGE.name, ".npz")


def load_model(run: Run) -> SegmentModel:
    """Read the fitted segment model, once in each process."""
    return load_once(SegmentModel.load, run.folder(STAGE.name), run.settings.proposals.paste.segments)


def _fit_model(run: Run) -> None:
    images, options, folder = images_to_fit_on(run), run.settings.proposals.paste.segments, run.folder(STAGE.name)
    ranker_path, reduction_path = folder / "ranker.safetensors", folder / "reduction.safetensors"
    if not ranker_path.is_file():
        examples = list(map_tasks(run, "images for the segment ranker", _ranker_examples_of, images))
        features, overlaps = (np.concatenate(parts) for parts in zip(*examples, strict=True))
        SegmentRanker().fit(features, overlaps, rng=np.random.default_rng([run.settings.seed, 5])).save(ranker_path)
    if options.sift and not reduction_path.is_file():
        some = (image.image() for image in images[:: max(1, len(images) // 60)])
        DescriptorReduction.fit(some, options=options.pooling, sift=options.sift, lbp=options.lbp).save(reduction_path)
    rows = list(map_tasks(run, "images for the projection", _some_descriptions, images))
    rng = np.random.default_rng([run.settings.seed, 6])
    projection = Projection.fit(np.concatenate(rows), rng=rng, size=options.length)
    reduction = DescriptorReduction.load(reduction_path) if options.sift else None
    SegmentModel(options, SegmentRanker.load(ranker_path), reduction, projection).save(folder)


def images_to_fit_on(run: Run) -> list[ImageOfRun]:
    """Return the training images, evenly spaced, that projections are fitted on."""
    count, asked = len(names(run, "train")), run.settings.proposals.paste.fit_images
    return images_of(run, "train", np.unique(np.linspace(0, count - 1, min(asked, count)).astype(int)))


def some_of(image: ImageOfRun, found: Segments) -> Segments:
    """Return some of an image's segments, drawn at random, for fitting a projection."""
    rng = np.random.default_rng([image.run.settings.seed, 7, image.number])
    return found.take(np.sort(rng.permutation(len(found))[:_ROWS_PER_IMAGE]))


def _ranker_examples_of(image: ImageOfRun) -> Examples:
    options, instances = image.run.settings.proposals.paste.segments, image.split.instances(image.number)
    rng = np.random.default_rng(options.seed)
    return ranker_examples(image.image(), image.labels(), instances, options=options.cpmc, rng=rng)


def _some_descriptions(image: ImageOfRun) -> np.ndarray:
    options, folder = image.run.settings.proposals.paste.segments, image.run.folder(STAGE.name)
    ranker = SegmentRanker.load(folder / "ranker.safetensors")
    reduction = DescriptorReduction.load(folder / "reduction.safetensors") if options.sift else None
    photograph = image.image()
    found = cpmc(photograph, ranker, options=options.cpmc, rng=np.random.default_rng(options.seed))
    return describe_segments(photograph, some_of(image, found), options=options.pooling, reduction=reduction)


def _write(image: ImageOfRun) -> None:
    """Write one image's segments; for a training image also its further training rows, and all rows' targets."""
    model, photograph = load_model(image.run), image.image()
    arrays, segments = {}, model.segments(photograph)
    if image.which == "train":
        rows = rows_of(image, segments)
        features = np.concatenate(
            [model.describe(photograph, rows.segments), model.describe(photograph[:, ::-1], rows.mirrored)]
        )
        arrays["targets"] = rows.targets
    else:
        features = model.describe(photograph, segments)
    write_compressed(
        image.file(STAGE.name, ".npz"),
        **arrays,
        superpixels=segments.superpixels.astype(np.uint16),
        members=np.packbits(segments.members, axis=1),
        scores=segments.scores,
        features=features,
    )


def rows_of(image: ImageOfRun, found: Segments) -> Rows:
    """Return the training rows of one image, given its segments."""
    labels = image.labels()
    objects, num_classes = find_objects(labels, image.split.instances(image.number)), len(image.run.settings.classes)
    rows = training_rows(found, objects, labels != VOID, num_classes=num_classes)
    all_rows = Segments(found.superpixels, rows.members, np.zeros(len(rows.members)))
    mirrored = all_rows.take(np.arange(len(rows.members))[rows.objects]).mirrored()
    return Rows(all_rows, mirrored, np.concatenate([rows.targets, rows.targets[rows.objects]]))


def read_segments(image: ImageOfRun) -> DescribedSegments:
    """Read the segments of one image of the run, and their descriptions."""
    with read_compressed(image.file(STAGE.name, ".npz")) as arrays:
        superpixels, packed, scores = arrays["superpixels"].astype(np.int32), arrays["members"], arrays["scores"]
        features = arrays["features"][: len(scores)]
    members = np.unpackbits(packed, axis=1, count=int(superpixels.max()) + 1).astype(np.bool_)
    return DescribedSegments(Segments(superpixels, members, scores), features)


def read_rows(image: ImageOfRun) -> tuple[np.ndarray, np.ndarray]:
    """Read the descriptions (N, P) of one image's training rows and their targets (N, K-1), in the order of `Rows`."""
    with read_compressed(image.file(STAGE.name, ".npz")) as arrays:
        return arrays["features"], arrays["targets"]


def _used(settings: Settings) -> bool:
    return any(proposer.reads_segments for proposer in ENGINES[settings.proposals.engine])


STAGE = Stage(
    "segments",
    make,
    (*IMAGES, OBJECTS),
    lambda s: [s.seed, s.proposals.paste.fit_images, s.proposals.paste.segments],
    used=_used,
)
