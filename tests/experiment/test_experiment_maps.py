"""The trunk's maps in a run: what is kept of an image, and that a photograph is described as the run's images were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.experiment import named_settings
from tinysegrank.experiment.images import images_of
from tinysegrank.experiment.photograph import Photograph
from tinysegrank.experiment.protocol import stages_until
from tinysegrank.experiment.stages import maps, proposals
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.experiment.stages.superpixels import read_superpixels
from tinysegrank.proposals import map_features
from tinysegrank.segnet import SegNet, TrunkMaps, load_segnet


def with_features(name: str, features: str, **changes: object):
    settings = named_settings(name)
    proposals = replace(settings.proposals, engine="crf", crf=replace(settings.proposals.crf, features=features))
    return replace(settings, proposals=replace(proposals, **changes))


def test_a_table_and_a_vector_are_kept_of_each_image(tiny_run):
    trunk: SegNet = load_segnet(tiny_run.path / "trunk" / "segnet.safetensors")
    make = TrunkMaps(trunk, size=225)
    for which in ("train", "val"):
        image = images_of(tiny_run, which)[3]
        found, superpixels = maps.read_maps(image), read_superpixels(image)
        assert found.superpixels.shape == (superpixels.max() + 1, 3 * 64)
        assert {found.superpixels.dtype, found.image.dtype} == {np.dtype(np.float16)}
        whole = np.concatenate([part.mean(axis=(1, 2)) for part in make(image.image())])
        np.testing.assert_allclose(found.image, whole, rtol=2e-3, atol=1e-4)
        areas = np.bincount(superpixels.ravel())  # the mean over superpixels is about that over the image
        np.testing.assert_allclose(areas @ found.superpixels.astype(float) / areas.sum(), whole, rtol=0.2, atol=0.05)
        files = sorted((tiny_run.path / "maps" / which).iterdir())
        assert [file.stem for file in files] == sorted(one.name for one in images_of(tiny_run, which))


def test_mirror_images_of_training_images_are_described_from_their_own_maps(tiny_run):
    make = TrunkMaps(load_segnet(tiny_run.path / "trunk" / "segnet.safetensors"), size=225)
    train, val = (images_of(tiny_run, which)[2] for which in ("train", "val"))
    found, plain = maps.read_maps(train, mirrored=True), maps.read_maps(train)
    expected = map_features(make(train.image()[:, ::-1].copy()), read_superpixels(train)[:, ::-1].copy())
    for one, other, seen in zip(found, expected, plain, strict=True):
        np.testing.assert_array_equal(one, other)
        assert not np.array_equal(one, seen)
    with pytest.raises(CheckpointError, match=r"mirrored.* is missing"):
        maps.read_maps(val, mirrored=True)


def test_a_photograph_gets_the_proposals_that_it_has_in_the_run(tiny_run):
    for image in images_of(tiny_run, "val", [0, 4]):
        labels, _ = store(tiny_run, "val").read(image.name)
        found = proposals.propose(Photograph(tiny_run, image.image()))
        np.testing.assert_array_equal(np.stack([proposal.labels for proposal in found]), labels)


@pytest.mark.parametrize(("features", "engine", "used"), [("trunk", "crf", True), ("hand", "crf", False)])
def test_the_stage_runs_only_where_its_maps_are_used(features, engine, used):
    for name in ("quick", "demo"):
        settings = with_features(name, features, engine=engine)
        stages = {stage.name for stage in stages_until("proposals", settings)}
        assert ({"maps", "trunk"} <= stages) == ("maps" in stages) == used
    assert "maps" not in {stage.name for stage in stages_until("proposals", named_settings("paper"))}


def test_maps_coarser_than_segnets_are_refused_before_a_run():
    settings = with_features("quick", "both")
    maps.check(replace(settings, maps=replace(settings.maps, size=227)))
    maps.check(replace(with_features("quick", "hand"), maps=replace(settings.maps, size=200)))
    with pytest.raises(ConfigError, match=r"^maps.size=226: give at least 227"):
        maps.check(replace(settings, maps=replace(settings.maps, size=226)))
