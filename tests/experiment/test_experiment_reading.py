"""What a run reads of its data, and how often: no mask to propose for val, the truth and a photograph once."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.experiment import Settings, Silent, label_photographs, named_settings, run_experiment
from tinysegrank.experiment.proposal_settings import CrfSettings, ProposalSettings
from tinysegrank.experiment.segmenter import Segmenter
from tinysegrank.experiment.stages import evaluation
from tinysegrank.voc import VOCSegmentation, make_toy_voc, read_image, read_labels

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path) -> Settings:
    make_toy_voc(tmp_path / "toy", train=6, val=2, seed=1, size=(40, 60))
    demo = named_settings("demo")
    return replace(
        demo,
        data=replace(demo.data, voc=str(tmp_path / "toy")),
        trunk=replace(demo.trunk, pretrain_images=8, pretrain_steps=2, chunk=4),
        superpixels=replace(demo.superpixels, segments=40),
        proposals=ProposalSettings(count=3, crf=CrfSettings(strengths=(4.0,), lambdas=(0.3,), choice_images=2)),
    )


def hide_masks_of_val(settings: Settings) -> None:
    split = VOCSegmentation(settings.data.voc, "val")
    for i in range(len(split)):
        split.labels_path(i).unlink()
        split.instances_path(i).unlink(missing_ok=True)


def proposals(path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in (path / "proposals").rglob("*.png")}


def test_proposing_for_val_opens_no_mask(tmp_path, settings, monkeypatch):
    run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent(), until="data")  # which decodes all masks once

    def refuse_val(read):
        def reader(split, index):
            assert split.split != "val"
            return read(split, index)

        return reader

    for method in ("labels", "instances", "__getitem__"):
        monkeypatch.setattr(VOCSegmentation, method, refuse_val(getattr(VOCSegmentation, method)))
    run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent(), until="proposals")
    hide_masks_of_val(settings)
    run_experiment(tmp_path / "without", settings, jobs=1, progress=Silent(), until="proposals")
    assert proposals(tmp_path / "without") == proposals(tmp_path / "run")
    assert len(proposals(tmp_path / "run")) == 8 * 3


@pytest.mark.parametrize("until", ["report", "picked"])
def test_a_split_without_masks_is_not_scored(tmp_path, settings, until):
    hide_masks_of_val(settings)
    with pytest.raises(ConfigError, match=r"val: the split has no masks, .*; pass --until ranker"):
        run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent(), until=until)
    assert not (tmp_path / "run").exists()


def test_a_split_with_some_of_its_masks_is_damaged(tmp_path, settings):
    split = VOCSegmentation(settings.data.voc, "val")
    split.labels_path(1).unlink()
    with pytest.raises(DatasetError, match=f"1 of 2 files are missing: SegmentationClass/{split.names[1]}.png"):
        run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent(), until="proposals")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def counted(monkeypatch) -> Counter[str]:
    """How often each file is read by the functions that every reading of a photograph or a label map goes through."""
    count: Counter[str] = Counter()

    def counting(read):
        def reader(path, *arguments, **options):
            count[str(path)] += 1
            return read(path, *arguments, **options)

        return reader

    for module, name in (
        ("voc.dataset", "read_labels"),
        ("voc.dataset", "read_image"),
        ("voc.images", "read_image"),
    ):
        place = f"tinysegrank.{module}"
        monkeypatch.setattr(f"{place}.{name}", counting(getattr(__import__(place, fromlist=[name]), name)))
    return count


def test_the_truth_is_decoded_once_for_all_systems(tmp_path, tiny_run, counted):
    shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evidence"))
    run = replace(tiny_run, path=tmp_path / "run")
    before = evaluation.read_counts(run)
    evaluation.make(run)
    split = VOCSegmentation(run.settings.data.voc, "val")
    assert counted == {str(split.labels_path(i)): 1 for i in range(len(split))}
    for name, confusion in evaluation.read_counts(run).items():
        np.testing.assert_array_equal(confusion.matrix, before[name].matrix)


def test_a_photograph_is_decoded_once(tmp_path, tiny_run, counted):
    split = VOCSegmentation(tiny_run.settings.data.voc, "val")
    paths = [split.image_path(i) for i in range(2)]
    list(label_photographs(paths, tiny_run.path, tmp_path / "out", progress=Silent()))
    assert counted == {str(path): 1 for path in paths}


@pytest.mark.parametrize("content", [b"", b"no photograph", b"\xff\xd8\xff"], ids=["empty", "text", "start"])
def test_a_damaged_photograph_is_refused_before_the_first_is_labelled(tmp_path, tiny_run, monkeypatch, content):
    monkeypatch.setattr(Segmenter, "__call__", None)
    whole = VOCSegmentation(tiny_run.settings.data.voc, "val").image_path(0)
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=r"photo\.jpg: cannot be read as an image"):
        label_photographs([whole, tmp_path / "photo.jpg"], tiny_run.path, tmp_path / "out", progress=Silent())
    assert not (tmp_path / "out").exists()


def test_a_photograph_whose_end_is_missing_is_named_in_its_turn(tmp_path, tiny_run):
    whole = VOCSegmentation(tiny_run.settings.data.voc, "val").image_path(0)
    (tmp_path / "photo.jpg").write_bytes(whole.read_bytes()[:-500])
    with pytest.raises(DatasetError, match=r"photo\.jpg: cannot be read as an image \(image file is truncated"):
        list(label_photographs([whole, tmp_path / "photo.jpg"], tiny_run.path, tmp_path / "out", progress=Silent()))
    assert read_labels(tmp_path / "out" / f"{whole.stem}.labels.png").shape == read_image(whole).shape[:2]
