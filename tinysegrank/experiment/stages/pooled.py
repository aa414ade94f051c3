"""Descriptions of every image's segments by the trunk's maps, from the means over superpixels of the stage `maps`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import IMAGES, OBJECTS, ImageOfRun
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps, segments
from tinysegrank.experiment.tasks import do_missing_images, map_tasks
from tinysegrank.files import read_arrays, reading, write_arrays
from tinysegrank.proposals import MapMeans, MapReduction, Segments
from tinysegrank.proposals.o2p.second_order import Projection, describe_by_maps

_REDUCTION, _PROJECTIONS = "reduction.safetensors", ("second-order.safetensors", "means.safetensors")


def make(run: Run) -> None:
    """Fit reduction and projections on some training images, then write the descriptions of every image's segments.

    The fits use training images of all folds, but no classes.
    """
    if not all((run.folder(STAGE.name) / file).is_file() for file in (_REDUCTION, *_PROJECTIONS)):
        _fit(run)
    do_missing_images(run, _write, STAGE.name, ".safetensors")


def used(settings: Settings) -> bool:
    """Return whether segments are described by the trunk's maps."""
    return segments.STAGE.used(settings) and settings.proposals.paste.features != "hand"


def load_describe(run: Run) -> Callable[[Segments, MapMeans], np.ndarray]:
    """Return a function that describes the segments of any image by the trunk's maps: (R, P) float32."""
    folder = run.folder(STAGE.name)
    reduction = load_once(MapReduction.load, folder / _REDUCTION)
    projections = [load_once(Projection.load, folder / file) for file in _PROJECTIONS]

    def describe(found: Segments, means: MapMeans) -> np.ndarray:
        parts = zip(projections, describe_by_maps(found, means, reduction), strict=True)
        return np.concatenate([projection.apply(part) for projection, part in parts], axis=1)

    return describe


def read_pooled(image: ImageOfRun) -> np.ndarray:
    """Read the descriptions, by the trunk's maps, of an image's segments (R, P), or of a training image's `rows_of`."""
    path = image.file(STAGE.name, ".safetensors")
    with reading(path):
        return read_arrays(path)["features"]


def _fit(run: Run) -> None:
    options, folder, images = run.settings.proposals.paste.maps, run.folder(STAGE.name), segments.images_to_fit_on(run)
    if not (folder / _REDUCTION).is_file():
        means = (maps.read_maps(image).superpixels for image in images)
        MapReduction.fit(means, maps.channels(run), size=options.channels).save(folder / _REDUCTION)
    rows = zip(*map_tasks(run, "images for the projections", _some_descriptions, images), strict=True)
    rng = np.random.default_rng([run.settings.seed, 8])
    for file, parts in zip(_PROJECTIONS, rows, strict=True):
        Projection.fit(np.concatenate(parts), rng=rng, size=options.length).save(folder / file)


def _some_descriptions(image: ImageOfRun) -> tuple[np.ndarray, np.ndarray]:
    reduction = load_once(MapReduction.load, image.run.folder(STAGE.name) / _REDUCTION)
    found = segments.some_of(image, segments.read_segments(image)[0])
    return describe_by_maps(found, maps.read_means(image), reduction)


def _write(image: ImageOfRun) -> None:
    describe, means = load_describe(image.run), maps.read_means(image)
    found, _ = segments.read_segments(image)
    if image.which == "train":
        (rows, mirrored, _), of_mirror = segments.rows_of(image, found), maps.read_means(image, mirrored=True)
        described = np.concatenate([describe(rows, means), describe(mirrored, of_mirror)])
    else:
        described = describe(found, means)
    write_arrays(image.file(STAGE.name, ".safetensors"), {"features": described})


STAGE = Stage(
    "pooled",
    make,
    (*IMAGES, OBJECTS, "superpixels", "maps", "segments"),
    lambda s: [s.seed, s.proposals.paste.fit_images, s.proposals.paste.maps, s.trunk.preset, s.maps.layers],
    used=used,
)
