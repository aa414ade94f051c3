"""Segments of every image, described: what the pasting proposer learns from and pastes.

They are ordered by CPMC's ranker, which learns from the truth; a training image's by one fitted without its fold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import ConfigError
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import IMAGES, OBJECTS, ImageOfRun, folds, images_of, model_path, names
from tinysegrank.experiment.proposal_settings import ENGINES
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps
from tinysegrank.experiment.tasks import do_missing_images, map_tasks
from tinysegrank.files import read_compressed, write_compressed
from tinysegrank.proposals import MapMeans, MapReduction, SegmentModel, Segments, training_rows
from tinysegrank.proposals.o2p.cpmc import Examples, SegmentRanker, ranker_examples
from tinysegrank.proposals.o2p.cpmc.ranker import WIDTH, WIDTH_WITH_MAPS
from tinysegrank.proposals.o2p.model import map_columns, ranker_maps_file
from tinysegrank.proposals.o2p.second_order import DescriptorReduction, Projection, describe_segments
from tinysegrank.voc import VOID, find_objects

_ROWS_PER_IMAGE = 40  # descriptions that the projection is fitted on


class DescribedSegments(NamedTuple):
    """The segments of one image and their projected descriptions.

    features | (R, P) | float32 | None if the run describes segments by the trunk's maps alone
    """

    segments: Segments
    features: np.ndarray | None


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

    The ranker is fitted on all of them and without each fold. The projections are fitted on images of all folds, since
    they use no truth.
    """
    options, folder, images = run.settings.proposals.paste.segments, run.folder(STAGE.name), images_to_fit_on(run)
    if options.rank_channels and not ranker_maps_file(folder).is_file():
        means = (maps.read_maps(image).superpixels for image in images)
        MapReduction.fit(means, maps.channels(run), size=options.rank_channels).save(ranker_maps_file(folder))
    if not all(_ranker_path(run, fold).is_file() for fold in (-1, *range(run.settings.folds))):
        _fit_rankers(run, images)
    if not SegmentModel.is_in(folder, options, describes=by_hand(run.settings)):
        _fit_projection(run, images)
    do_missing_images(run, _write, STAGE.name, ".npz")


def by_hand(settings: Settings) -> bool:
    """Return whether segments are described by hand-made descriptors, alone or beside the trunk's maps."""
    return settings.proposals.paste.features != "trunk"


def load_segments(run: Run) -> Callable[[maps.Photograph], Segments]:
    """Return a function that makes the segments of any photograph, in the way the run made those of its val images."""
    model, ranked_by_maps = load_model(run), run.settings.proposals.paste.segments.rank_channels > 0

    def segments(photograph: maps.Photograph) -> Segments:
        means = photograph.means if ranked_by_maps else None
        return model.segments(photograph.image, means, lab=photograph.lab)

    return segments


def load_model(run: Run) -> SegmentModel:
    """Read the fitted segment model, once in each process; without `by_hand`, it makes segments and no more."""
    return _load_model(run, by_hand(run.settings))


def _load_model(run: Run, describes: bool) -> SegmentModel:
    options = run.settings.proposals.paste.segments
    return load_once(SegmentModel.load, run.folder(STAGE.name), options, describes)


def _ranker_path(run: Run, fold: int) -> Path:
    folder = run.folder(STAGE.name)
    return folder / "ranker.safetensors" if fold < 0 else model_path(folder / "ranker", fold)


def _fit_rankers(run: Run, images: list[ImageOfRun]) -> None:
    examples = list(map_tasks(run, "images for the segment ranker", _ranker_examples_of, images))
    features, overlaps = (np.concatenate(parts) for parts in zip(*examples, strict=True))
    fold_of = np.repeat(folds(run)[[image.number for image in images]], [len(one.features) for one in examples])
    width = WIDTH_WITH_MAPS if run.settings.proposals.paste.segments.rank_channels else WIDTH
    for fold in (-1, *range(run.settings.folds)):
        used = fold_of != fold
        if not used.any():
            raise ConfigError(
                f"proposals.paste.fit_images={len(images)}: the segment ranker needs images with objects outside fold "
                f"{fold}; give more"
            )
        rng = np.random.default_rng([run.settings.seed, 5])
        SegmentRanker(width=width).fit(features[used], overlaps[used], rng=rng).save(_ranker_path(run, fold))


def _fit_projection(run: Run, images: list[ImageOfRun]) -> None:
    options, reduction_path = run.settings.proposals.paste.segments, run.folder(STAGE.name) / "reduction.safetensors"
    if options.sift and not reduction_path.is_file():
        some = (image.image() for image in images[:: max(1, len(images) // 60)])
        DescriptorReduction.fit(some, options=options.pooling, sift=options.sift, lbp=options.lbp).save(reduction_path)
    rows = list(map_tasks(run, "images for the projection", _some_descriptions, images))
    rng = np.random.default_rng([run.settings.seed, 6])
    projection = Projection.fit(np.concatenate(rows), rng=rng, size=options.length)
    reduction = DescriptorReduction.load(reduction_path) if options.sift else None
    replace(_load_model(run, False), reduction=reduction, projection=projection).save(run.folder(STAGE.name))


def images_to_fit_on(run: Run) -> list[ImageOfRun]:
    """Return the training images, evenly spaced, that projections are fitted on."""
    count, asked = len(names(run, "train")), run.settings.proposals.paste.fit_images
    return images_of(run, "train", np.unique(np.linspace(0, count - 1, min(asked, count)).astype(int)))


def some_of(image: ImageOfRun, found: Segments) -> Segments:
    """Draw at most _ROWS_PER_IMAGE of an image's segments to fit a projection on; the same on each call."""
    rng = np.random.default_rng([image.run.settings.seed, 7, image.number])
    return found.take(np.sort(rng.permutation(len(found))[:_ROWS_PER_IMAGE]))


def _ranker_examples_of(image: ImageOfRun) -> Examples:
    options, instances = image.run.settings.proposals.paste.segments, image.split.instances(image.number)
    reduction = MapReduction.load(ranker_maps_file(image.run.folder(STAGE.name))) if options.rank_channels else None
    columns, rng = map_columns(reduction, _means(image)), np.random.default_rng(options.seed)
    return ranker_examples(image.image(), image.labels(), instances, columns=columns, options=options.cpmc, rng=rng)


def _means(image: ImageOfRun) -> MapMeans | None:
    """Return the means of the maps that an image's segments are ranked by, if the run ranks by any."""
    return maps.read_means(image) if image.run.settings.proposals.paste.segments.rank_channels else None


def _some_descriptions(image: ImageOfRun) -> np.ndarray:
    options, folder = image.run.settings.proposals.paste.segments, image.run.folder(STAGE.name)
    reduction = DescriptorReduction.load(folder / "reduction.safetensors") if options.sift else None
    photograph = image.image()
    found = _load_model(image.run, False).segments(photograph, _means(image))
    return describe_segments(photograph, some_of(image, found), options=options.pooling, reduction=reduction)


def _write(image: ImageOfRun) -> None:
    """Write one image's segments; for a training image also its further training rows, and all rows' targets."""
    run, model, photograph, arrays = image.run, load_model(image.run), image.image(), {}
    if image.which == "train":
        ranker = load_once(SegmentRanker.load, _ranker_path(run, int(folds(run)[image.number])))
        segments = replace(model, ranker=ranker).segments(photograph, _means(image))
        rows = rows_of(image, segments)
        views, arrays["targets"] = [(photograph, rows.segments), (photograph[:, ::-1], rows.mirrored)], rows.targets
    else:
        segments = model.segments(photograph, _means(image))
        views = [(photograph, segments)]
    if by_hand(run.settings):
        arrays["features"] = np.concatenate([model.describe(view, found) for view, found in views])
    write_compressed(
        image.file(STAGE.name, ".npz"),
        **arrays,
        superpixels=segments.superpixels.astype(np.uint16),
        members=np.packbits(segments.members, axis=1),
        scores=segments.scores,
    )


def rows_of(image: ImageOfRun, found: Segments) -> Rows:
    """Return the rows of one image that the pasting proposer learns from, given the image's segments."""
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
        features = arrays["features"][: len(scores)] if by_hand(image.run.settings) else None
        members = np.unpackbits(packed, axis=1, count=int(superpixels.max()) + 1).astype(np.bool_)
        return DescribedSegments(Segments(superpixels, members, scores), features)


def read_rows(image: ImageOfRun) -> tuple[np.ndarray | None, np.ndarray]:
    """Read the descriptions (N, P) of one image's training rows and their targets (N, K-1), in the order of `Rows`.

    The descriptions are None where those of `read_segments` are.
    """
    with read_compressed(image.file(STAGE.name, ".npz")) as arrays:
        return arrays["features"] if by_hand(image.run.settings) else None, arrays["targets"]


def _used(settings: Settings) -> bool:
    return any(proposer.reads_segments for proposer in ENGINES[settings.proposals.engine])


STAGE = Stage(
    "segments",
    make,
    (*IMAGES, OBJECTS),
    lambda s: [s.seed, s.folds, s.proposals.paste.fit_images, s.proposals.paste.segments, by_hand(s)],
    also=lambda s: ("superpixels", "maps") if s.proposals.paste.segments.rank_channels else (),
    used=_used,
)
