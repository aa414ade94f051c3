"""Photographs of unusual kinds through a whole run with both proposers, and through `tinysegrank predict`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.conftest import tiny_settings
from tinysegrank.cli import app
from tinysegrank.errors import DatasetError
from tinysegrank.experiment import Run, Silent, read_counts, run_experiment
from tinysegrank.experiment.images import images_of
from tinysegrank.experiment.proposal_settings import CrfSettings, PasteSettings, ProposalSettings
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.experiment.stages.segments import read_segments
from tinysegrank.proposals import CpmcOptions, SecondOrderOptions, SegmentOptions
from tinysegrank.voc import VOID, VOCSegmentation, make_toy_voc, read_labels, write_labels

pytestmark = pytest.mark.slow

COUNT = 4


def odd_images() -> dict[str, Image.Image]:
    """Every kind that a split may hold; all are saved as JPEG."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:60, :80]
    ramp = (rows * 2 + columns).astype(np.uint8)
    ramp[20:40, 30:60] = 250
    cmyk = np.stack([ramp, ramp // 2, 255 - ramp, ramp // 8], axis=2)
    return {
        "grey": Image.fromarray(ramp),
        "cmyk": Image.frombytes("CMYK", (80, 60), cmyk.tobytes()),
        "one-colour": Image.new("RGB", (80, 60), (200, 30, 90)),
        "black": Image.new("L", (50, 70), 0),
        "smallest": Image.fromarray(rng.integers(0, 256, (13, 13, 3), dtype=np.uint8)),
        "strip": Image.fromarray(rng.integers(0, 256, (13, 200, 3), dtype=np.uint8)),
    }


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Path:
    """A toy VOC with two of each kind among the training images and one among those of val; the black one is void."""
    root = tmp_path_factory.mktemp("toy")
    make_toy_voc(root, train=12, val=2, seed=3)
    for which, times in (("train", 2), ("val", 1)):
        split = root / "ImageSets" / "Segmentation" / f"{which}.txt"
        lines = split.read_text()
        for kind, image in odd_images().items():
            for n in range(times):
                name = f"{which}_{kind}_{n}"
                image.save(root / "JPEGImages" / f"{name}.jpg", quality=95)
                labels = np.full(image.size[::-1], VOID if kind == "black" else 0, np.uint8)
                if kind in ("grey", "cmyk"):
                    labels[20:40, 30:60] = 15
                write_labels(root / "SegmentationClass" / f"{name}.png", labels)
                lines += f"{name}\n"
        split.write_text(lines)
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory, voc) -> Run:
    segments = SegmentOptions(
        CpmcOptions(superpixels=150, grid=3, steps=8, count=30, smallest=170),  # none in an image of 169 pixels
        SecondOrderOptions(sift_cells=(4,), lbp_cells=(4,), step=8),
        sift=12,
        lbp=8,
        length=24,
    )
    settings = replace(
        tiny_settings(voc),
        proposals=ProposalSettings(
            engine="both",
            count=COUNT,
            crf=CrfSettings(strengths=(4.0,), lambdas=(0.3,), choice_images=6),
            paste=PasteSettings(segments, fit_images=24, thresholds=(0.0, 0.1), lambdas=(0.04,), choice_images=24),
        ),
    )
    return run_experiment(tmp_path_factory.mktemp("run") / "run", settings, jobs=1, progress=Silent())


def test_every_image_of_the_run_has_proposals(finished, voc):
    for which in ("train", "val"):
        split = VOCSegmentation(voc, which)
        for index, name in enumerate(split.names):
            labels, scores = store(finished, which).read(name)
            assert labels.shape == (COUNT, *split.image(index).shape[:2])
            assert labels.max() <= 20
            assert np.isfinite(scores).all()
    (image,) = (image for image in images_of(finished, "val") if image.name == "val_smallest_0")
    segments, _ = read_segments(image)
    assert len(segments) == 0
    assert not store(finished, "val").read("val_smallest_0")[0][::2].any()  # pasting: background and nothing else


def test_the_run_has_labels_for_every_image(finished, voc):
    split = VOCSegmentation(voc, "val")
    known = sum(int((split.labels(i) != VOID).sum()) for i in range(len(split)))
    for name, confusion in read_counts(finished).items():
        assert confusion.matrix.sum() == known, name


def predict(paths, run: Run, out: Path):
    return CliRunner().invoke(app, ["predict", *map(str, paths), "--run", str(run.path), "--out", str(out)])


def test_predict_labels_photographs_of_every_kind(tmp_path, finished):
    paths = []
    for kind, image in odd_images().items():
        paths.append(tmp_path / f"{kind}.jpg")
        image.save(paths[-1], quality=95)
    result = predict(paths, finished, tmp_path / "out")
    assert result.exit_code == 0, result.output
    for path, image in zip(paths, odd_images().values(), strict=True):
        labels = read_labels(tmp_path / "out" / f"{path.stem}.labels.png")
        assert labels.shape == image.size[::-1]
        assert labels.max() <= 20


def test_predict_labels_the_images_of_val_as_the_run_did(tmp_path, finished, voc):
    split = VOCSegmentation(voc, "val")
    result = predict([split.image_path(i) for i in range(len(split))], finished, tmp_path)
    assert result.exit_code == 0, result.output
    for name in split.names:
        expected = read_labels(finished.folder("picked") / "svm" / f"{name}.png")
        np.testing.assert_array_equal(read_labels(tmp_path / f"{name}.labels.png"), expected, err_msg=name)


@pytest.mark.parametrize("size", [(300, 1), (1, 300), (12, 40), (1, 1)], ids="{0[0]}x{0[1]}".format)
def test_predict_refuses_images_smaller_than_the_grid(tmp_path, finished, size):
    fine, small = tmp_path / "fine.png", tmp_path / "small.png"
    Image.new("RGB", (40, 40)).save(fine)
    Image.new("RGB", size).save(small)
    result = predict([fine, small], finished, tmp_path / "out")
    assert result.exit_code == 1
    assert "small.png: a side is below 13" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [(300, 1), (1, 300), (12, 40), (1, 1)], ids="{0[0]}x{0[1]}".format)
def test_a_run_refuses_images_smaller_than_the_grid(tmp_path, voc, finished, size):
    make_toy_voc(tmp_path / "toy", train=2, val=1, seed=3)
    name = VOCSegmentation(tmp_path / "toy", "val").names[0]
    Image.new("RGB", size).save(tmp_path / "toy" / "JPEGImages" / f"{name}.jpg")
    write_labels(tmp_path / "toy" / "SegmentationClass" / f"{name}.png", np.zeros(size[::-1], np.uint8))
    settings = replace(finished.settings, folds=2, data=replace(finished.settings.data, voc=str(tmp_path / "toy")))
    settings = replace(settings, ranking=replace(settings.ranking, splits=2))
    with pytest.raises(DatasetError, match=f"{name}.*a side is below 13"):
        run_experiment(tmp_path / "run", settings, jobs=1, progress=Silent())
    assert not (tmp_path / "run" / "superpixels").exists()
