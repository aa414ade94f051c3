"""Superpixel features from the trunk: its maps at a finer grid than SegNet's, averaged over each superpixel."""

from __future__ import annotations

from pathlib import Path

from tinysegrank.errors import ConfigError
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import IMAGES, ImageOfRun
from tinysegrank.experiment.proposal_settings import ENGINES, MapSettings
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages.superpixels import read_superpixels
from tinysegrank.experiment.stages.trunk import network_path
from tinysegrank.experiment.tasks import do_missing_images
from tinysegrank.files import read_arrays, reading, write_arrays
from tinysegrank.proposals import MapFeatures, MapMeans, map_features
from tinysegrank.segnet import PRESETS, TrunkMaps, load_segnet, map_channels

_MIRRORED = "mirrored/"


def make(run: Run) -> None:
    """Write the means of the maps over each image's superpixels to SPLIT/NAME.safetensors; maps are not stored."""
    do_missing_images(run, _write, STAGE.name, ".safetensors")


def used(settings: Settings) -> bool:
    """Return whether a proposer reads the trunk's maps."""
    return bool(_views(settings))


def _views(settings: Settings) -> set[bool]:
    """Return the views whose maps proposers read: False for an image, True for the mirror image of a training image."""
    return {mirrored for one in ENGINES[settings.proposals.engine] for mirrored in one.map_views(settings)}


def channels(run: Run) -> tuple[int, ...]:
    """Return the number of channels of each layer in the setting `maps.layers`."""
    return map_channels(PRESETS[run.settings.trunk.preset], run.settings.maps.layers)


def check(settings: Settings) -> None:
    """Check that the trunk's maps, if a proposer reads them, are at least as fine as SegNet's.

    Raises:
        ConfigError: `maps.size`, the side of the input that maps are computed from, is below that of SegNet's input.
    """
    least = PRESETS[settings.trunk.preset].preprocessing.size
    if used(settings) and settings.maps.size < least:
        raise ConfigError(f"maps.size={settings.maps.size}: give at least {least}, SegNet's own input")


def load_maps(run: Run) -> TrunkMaps:
    """Load, once in each process, the run's `TrunkMaps`, which compute the maps of any image."""
    return load_once(_load, network_path(run), run.settings.maps)


def _load(path: Path, asked: MapSettings) -> TrunkMaps:
    return TrunkMaps(load_segnet(path), size=asked.size, layers=asked.layers)


def _write(image: ImageOfRun) -> None:
    make_maps, photograph, superpixels = load_maps(image.run), image.image(), read_superpixels(image)
    arrays = map_features(make_maps(photograph), superpixels)._asdict()
    if image.which == "train" and True in _views(image.run.settings):
        mirrored = map_features(make_maps(photograph[:, ::-1]), superpixels[:, ::-1])
        arrays |= {f"{_MIRRORED}{name}": array for name, array in mirrored._asdict().items()}
    write_arrays(image.file(STAGE.name, ".safetensors"), arrays)


def read_maps(image: ImageOfRun, *, mirrored: bool = False) -> MapFeatures:
    """Read the means of the maps over an image's superpixels; with `mirrored`, of a training image's mirror image."""
    path, prefix = image.file(STAGE.name, ".safetensors"), _MIRRORED if mirrored else ""
    with reading(path):
        arrays = read_arrays(path)
        return MapFeatures(arrays[f"{prefix}superpixels"], arrays[f"{prefix}image"])


def read_means(image: ImageOfRun, *, mirrored: bool = False) -> MapMeans:
    """Read an image's superpixels and the means of the maps over them; or those of a training image's mirror image."""
    superpixels = read_superpixels(image)
    means = read_maps(image, mirrored=mirrored).superpixels
    return MapMeans(superpixels[:, ::-1] if mirrored else superpixels, means, channels(image.run))


STAGE = Stage(
    "maps",
    make,
    (*IMAGES, "trunk", "superpixels"),
    lambda s: [s.maps, True in _views(s)],
    used=used,
    backend=True,
)
