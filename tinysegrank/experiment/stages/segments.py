"""Segments of every image and their descriptions, which the pasting proposer learns from and pastes.

Segments are ordered by a ranker that learns from the truth: a training image's by the one fitted without its fold.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
from tinysegrank.proposals import MapMeans, MapReduction, Segments, training_rows
from tinysegrank.proposals.o2p.cpmc import Columns, Examples, SegmentRanker, cpmc, ranker_examples
from tinysegrank.proposals.o2p.cpmc.ranker import WIDTH, WIDTH_WITH_MAPS
from tinysegrank.proposals.o2p.second_order import DescriptorReduction, Projection, describe_segments, map_columns
from tinysegrank.voc import VOID, find_objects

_RANKER_MAPS, _REDUCTION, _PROJECTION = "ranker-maps.safetensors", "reduction.safetensors", "projection.safetensors"
_ROWS_PER_IMAGE = 40  # descriptions that the projection is fitted on


def make(run: Run) -> None:
    """Fit rankers and projections on some training images, then write every image's segments and their descriptions.

    One ranker is fitted on all of these images, and one without each fold. Projections use no truth, so they are fitted
    on images of all folds.
    """
    options, folder, images = run.settings.proposals.paste.segments, run.folder(STAGE.name), images_to_fit_on(run)
    if options.rank_channels and not (folder / _RANKER_MAPS).is_file():
        means = (maps.read_maps(image).superpixels for image in images)
        MapReduction.fit(means, maps.channels(run), size=options.rank_channels).save(folder / _RANKER_MAPS)
    if not all(_ranker_path(run, fold).is_file() for fold in (-1, *range(run.settings.folds))):
        _fit_rankers(run, images)
    if by_hand(run.settings):
        _fit_projection(run, images)
    do_missing_images(run, _write, STAGE.name, ".npz")


def by_hand(settings: Settings) -> bool:
    """Return whether segments are described by hand-made descriptors, alone or beside the trunk's maps."""
    return settings.proposals.paste.features != "trunk"


def segments_of(image: ImageOfRun, photograph: np.ndarray, *, fold: int = -1) -> Segments:
    """Make the segments of an image of the run, given its pixels; see `make_segments`."""
    return make_segments(image.run, photograph, lambda: maps.read_means(image), fold=fold)


def make_segments(
    run: Run, image: np.ndarray, means: Callable[[], MapMeans], *, fold: int = -1, lab: np.ndarray | None = None
) -> Segments:
    """Make the segments of any image (H, W, 3), ordered by the ranker fitted without `fold` (-1: on all images).

    `means` returns the means of the trunk's maps over superpixels; it is called only if the ranker reads them. `lab` is
    the image's CIE Lab, if computed already.
    """
    options, ranker = run.settings.proposals.paste.segments, load_once(SegmentRanker.load, _ranker_path(run, fold))
    rng = np.random.default_rng(options.seed)
    return cpmc(image, ranker, columns=_columns(run, means), lab=lab, options=options.cpmc, rng=rng)


def _columns(run: Run, means: Callable[[], MapMeans]) -> Columns | None:
    """Return the function that describes segments to the ranker by the trunk's maps; None if the run doesn't do so."""
    if not run.settings.proposals.paste.segments.rank_channels:
        return None
    return map_columns(load_once(MapReduction.load, run.folder(STAGE.name) / _RANKER_MAPS), means())


def load_describe(run: Run) -> Callable[[np.ndarray, Segments], np.ndarray]:
    """Return a function that describes the segments of any image by hand-made descriptors: (R, P) float32."""
    options, folder = run.settings.proposals.paste.segments.pooling, run.folder(STAGE.name)
    reduction = load_once(DescriptorReduction.load, folder / _REDUCTION)
    projection = load_once(Projection.load, folder / _PROJECTION)
    return lambda image, found: projection.apply(describe_segments(image, found, options=options, reduction=reduction))


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
    options, folder = run.settings.proposals.paste.segments, run.folder(STAGE.name)
    if not (folder / _REDUCTION).is_file():
        some = (image.image() for image in images[:: max(1, len(images) // 60)])
        reduction = DescriptorReduction.fit(some, options=options.pooling, sift=options.sift, lbp=options.lbp)
        reduction.save(folder / _REDUCTION)
    if not (folder / _PROJECTION).is_file():
        rows = list(map_tasks(run, "images for the projection", _some_descriptions, images))
        rng = np.random.default_rng([run.settings.seed, 6])
        Projection.fit(np.concatenate(rows), rng=rng, size=options.length).save(folder / _PROJECTION)


def images_to_fit_on(run: Run) -> list[ImageOfRun]:
    """Return the training images, evenly spaced in the split, that segment rankers and projections are fitted on."""
    count, asked = len(names(run, "train")), run.settings.proposals.paste.fit_images
    return images_of(run, "train", np.unique(np.linspace(0, count - 1, min(asked, count)).astype(int)))


def some_of(image: ImageOfRun, found: Segments) -> Segments:
    """Draw at most _ROWS_PER_IMAGE of an image's segments to fit a projection on; every call draws the same."""
    rng = np.random.default_rng([image.run.settings.seed, 7, image.number])
    return found.take(np.sort(rng.permutation(len(found))[:_ROWS_PER_IMAGE]))


def _ranker_examples_of(image: ImageOfRun) -> Examples:
    options, instances = image.run.settings.proposals.paste.segments, image.split.instances(image.number)
    columns, rng = _columns(image.run, lambda: maps.read_means(image)), np.random.default_rng(options.seed)
    return ranker_examples(image.image(), image.labels(), instances, columns=columns, options=options.cpmc, rng=rng)


def _some_descriptions(image: ImageOfRun) -> np.ndarray:
    options, photograph = image.run.settings.proposals.paste.segments.pooling, image.image()
    reduction = load_once(DescriptorReduction.load, image.run.folder(STAGE.name) / _REDUCTION)
    some = some_of(image, segments_of(image, photograph))
    return describe_segments(photograph, some, options=options, reduction=reduction)


def _write(image: ImageOfRun) -> None:
    """Write an image's segments and, if the run makes them, their hand-made descriptions.

    For a training image, write the descriptions and the targets of all `rows_of`.
    """
    photograph, arrays = image.image(), {}
    segments = segments_of(image, photograph, fold=image.fold)
    views = [(photograph, segments)]
    if image.which == "train":
        rows, mirrored, arrays["targets"] = rows_of(image, segments)
        views = [(photograph, rows), (photograph[:, ::-1], mirrored)]
    if by_hand(image.run.settings):
        describe = load_describe(image.run)
        arrays["features"] = np.concatenate([describe(view, found) for view, found in views])
    write_compressed(
        image.file(STAGE.name, ".npz"),
        **arrays,
        superpixels=segments.superpixels.astype(np.uint16),
        members=np.packbits(segments.members, axis=1),
        scores=segments.scores,
    )


def rows_of(image: ImageOfRun, found: Segments) -> tuple[Segments, Segments, np.ndarray]:
    """Return the training rows of an image, given its segments.

    Returns:
        The rows of `training_rows`; those of the true objects once more, in the mirror image; and the targets (N, K-1)
        float32 of both, largest overlaps with an object of each class 1..K-1.
    """
    labels = image.labels()
    objects, num_classes = find_objects(labels, image.split.instances(image.number)), len(image.run.settings.classes)
    rows = training_rows(found, objects, labels != VOID, num_classes=num_classes)
    all_rows = Segments(found.superpixels, rows.members, np.zeros(len(rows.members)))
    mirrored = all_rows.take(np.arange(len(rows.members))[rows.objects]).mirrored()
    return all_rows, mirrored, np.concatenate([rows.targets, rows.targets[rows.objects]])


def read_segments(image: ImageOfRun) -> tuple[Segments, np.ndarray | None]:
    """Read an image's segments and their hand-made descriptions (R, P) float32, None if the run makes none."""
    with read_compressed(image.file(STAGE.name, ".npz")) as arrays:
        superpixels, packed, scores = arrays["superpixels"].astype(np.int32), arrays["members"], arrays["scores"]
        features = arrays["features"][: len(scores)] if by_hand(image.run.settings) else None
        members = np.unpackbits(packed, axis=1, count=int(superpixels.max()) + 1).astype(np.bool_)
        return Segments(superpixels, members, scores), features


def read_rows(image: ImageOfRun) -> tuple[np.ndarray | None, np.ndarray]:
    """Read a training image's hand-made descriptions (N, P), None if the run makes none, and its targets (N, K-1).

    Both have the rows of `rows_of`, in its order.
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
