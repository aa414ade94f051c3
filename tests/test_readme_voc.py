"""README's section on PASCAL VOC: its command and its recipe for train_aug, on a toy VOC."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from tinysegrank.voc import VOCSegmentation, make_toy_voc

SECTION = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8").split("## On PASCAL VOC\n")[1]
RECIPE = re.search(r"(?:^    .*\n|^\n)*^    from scipy.*\n(?:^    .*\n|^\n)*", SECTION, re.MULTILINE)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A toy VOC under the names that README uses, with the splits that VOC has."""
    monkeypatch.chdir(tmp_path)
    make_toy_voc(tmp_path / "VOCdevkit" / "VOC2012", train=3, val=2, seed=1)
    splits = tmp_path.joinpath("VOCdevkit/VOC2012/ImageSets/Segmentation")
    assert sorted(path.stem for path in splits.iterdir()) == ["train", "trainval", "val"]
    return tmp_path / "VOCdevkit" / "VOC2012"


@pytest.mark.usefixtures("published")
def test_the_first_command_needs_nothing_but_the_weights():
    from tinysegrank.cli import app

    command = next(line for line in SECTION.splitlines() if line.startswith("    tinysegrank run"))
    outcome = CliRunner().invoke(app, shlex.split(command)[1:])
    assert outcome.exit_code == 1
    assert "bvlc_alexnet.caffemodel" in outcome.output  # the data is taken; the weights are not here
    assert "split" not in outcome.output
    assert not Path("runs").exists()


def test_the_recipe_adds_berkeleys_masks_without_those_of_val(published):
    train, val = VOCSegmentation(published, "train"), VOCSegmentation(published, "val")
    folder = published.parents[1] / "benchmark_RELEASE" / "dataset" / "cls"
    folder.mkdir(parents=True)
    first = val.image_path(0)
    masks = {}
    for k, name in enumerate((train.names[0], val.names[0], "2008_000007", "2008_000008")):
        masks[name] = np.full(val.labels(0).shape, 4 + k, np.uint8)
        savemat(folder / f"{name}.mat", {"GTcls": {"Segmentation": masks[name], "Boundaries": [0]}})
        if not (published / "JPEGImages" / f"{name}.jpg").exists():
            (published / "JPEGImages" / f"{name}.jpg").write_bytes(first.read_bytes())
    before = train.labels(0), val.labels(0)
    assert RECIPE is not None
    exec(textwrap.dedent(RECIPE[0]), {})
    augmented = VOCSegmentation(published, "train_aug")
    assert augmented.names == (*train.names, "2008_000007", "2008_000008")
    for index, name in ((3, "2008_000007"), (4, "2008_000008")):
        np.testing.assert_array_equal(augmented.labels(index), masks[name])
    augmented.check()
    np.testing.assert_array_equal(train.labels(0), before[0])
    np.testing.assert_array_equal(val.labels(0), before[1])
