"""Segments of every image described by the trunk's maps, from the means that the stage `maps` has of superpixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import IMAGES, OBJECTS, ImageOfRun
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages import maps, segments
from tinysegrank.experiment.stages.superpixels import read_superpixels
from tinysegrank.experiment.tasks import do_missing_images, map_tasks
from tinysegrank.files import read_arrays, reading, write_arrays
from tinysegrank.proposals import MapModel, MapReduction, Segments, descriptions_by_maps
from tinysegrank.proposals.o2p.map_model import reduction_file


def make(run: Run) -> None:
    """Fit reduction and projections on some training images, then write the descriptions of every image's segments.

    They are fitted on training images of all folds, since they don't use classes.
    """
    if not MapModel.is_in(run.folder(STAGE.name), run.settings.proposals.paste.maps):
        _fit_model(run)
    do_missing_images(run, _write, STAGE.name, ".safetensors")


def used(settings: Settings) -> bool:
    """Return whether segments are described by the trunk's maps."""
    return segments.STAGE.used(settings) and settings.proposals.paste.features != "hand"


def load_describe(run: Run) -> Callable[[maps.Photograph, Segments], np.ndarray]:
    """Return a function that describes the segments of any photograph, as the run's were: (R, P)."""
    model = _load_model(run)
    return lambda photograph, found: model.describe(found, photograph.superpixels, photograph.of_maps.superpixels)


def read_pooled(image: ImageOfRun) -> np.ndarray:
    """Read the descriptions (R, P) of an image's segments; of a training image, those of all rows of `read_rows`."""
    path = image.file(STAGE.name, ".safetensors")
    with reading(path):
        return read_arrays(path)["features"]


def _load_model(run: Run) -> MapModel:
    return load_once(MapModel.load, run.folder(STAGE.name), run.settings.proposals.paste.maps, maps.channels(run))


def _fit_model(run: Run) -> None:
    options, folder, images = run.settings.proposals.paste.maps, run.folder(STAGE.name), segments.images_to_fit_on(run)
    path, channels = reduction_file(folder), maps.channels(run)
    if not path.is_file():
        means = (maps.read_maps(image).superpixels for image in images)
        MapReduction.fit(means, channels, size=options.channels).save(path)
    rows = zip(*map_tasks(run, "images for the projections", _some_descriptions, images), strict=True)
    rng = np.random.default_rng([run.settings.seed, 8])
    descriptions = [np.concatenate(parts) for parts in rows]
    MapModel.fit(options, channels, MapReduction.load(path), descriptions, rng=rng).save(folder)


def _some_descriptions(image: ImageOfRun) -> list[np.ndarray]:
    run = image.run
    found = segments.some_of(image, segments.read_segments(image).segments)
    superpixels, means = read_superpixels(image), maps.read_maps(image).superpixels
    reduction = MapReduction.load(reduction_file(run.folder(STAGE.name)))
    options = run.settings.proposals.paste.maps
    return list(descriptions_by_maps(options, maps.channels(run), reduction, found, superpixels, means))


def _write(image: ImageOfRun) -> None:
    model, superpixels, means = _load_model(image.run), read_superpixels(image), maps.read_maps(image).superpixels
    found = segments.read_segments(image).segments
    if image.which == "train":
        rows = segments.rows_of(image, found)
        of_mirror = maps.read_maps(image, mirrored=True).superpixels
        described = np.concatenate(
            [
                model.describe(rows.segments, superpixels, means),
                model.describe(rows.mirrored, superpixels[:, ::-1], of_mirror),
            ]
        )
    else:
        described = model.describe(found, superpixels, means)
    write_arrays(image.file(STAGE.name, ".safetensors"), {"features": described})


STAGE = Stage(
    "pooled",
    make,
    (*IMAGES, OBJECTS, "superpixels", "maps", "segments"),
    lambda s: [s.seed, s.proposals.paste.fit_images, s.proposals.paste.maps, s.trunk.preset, s.maps.layers],
    used=used,
)
