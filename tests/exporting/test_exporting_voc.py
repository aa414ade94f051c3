"""The archive for VOC's server, and proposals as folders, from a tiny run."""

from __future__ import annotations

import csv
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.reliability.damage import contents
from tinysegrank.cli import app
from tinysegrank.errors import CheckpointError, ConfigError, DatasetError, OutputError
from tinysegrank.experiment import Run, Segmenter, Silent, run_experiment
from tinysegrank.experiment.images import names
from tinysegrank.experiment.stages.described import load_described
from tinysegrank.exporting import export_labels, export_proposals, export_voc
from tinysegrank.proposals import ProposalStore
from tinysegrank.voc import VOCSegmentation, read_image, read_labels

INNER = "results/VOC2012/Segmentation/comp6_{}_cls"


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def own(tmp_path: Path, tiny_run: Run) -> Run:
    """The tiny run on a copy of its data, to be changed."""
    shutil.copytree(tiny_run.settings.data.voc, tmp_path / "voc")
    settings = tiny_run.settings
    return replace(tiny_run, settings=replace(settings, data=replace(settings.data, voc=str(tmp_path / "voc"))))


def unpacked(archive: Path, folder: Path) -> dict[str, np.ndarray]:
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(folder, filter="data")
    found = {}
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            assert image.mode == "P"
            found[str(path.relative_to(folder))] = np.array(image)
    return found


def test_the_runs_own_val(tmp_path: Path, tiny_run: Run) -> None:
    result = call("export", "voc", tiny_run.path, "--out", tmp_path / "out")
    archive = tmp_path / "out" / "comp6_val.tar.gz"
    assert (result.exit_code, result.stdout) == (0, f"{archive}\n"), result.output
    found = unpacked(archive, tmp_path / "server")
    assert found.keys() == {f"{INNER.format('val')}/{name}.png" for name in names(tiny_run, "val")}
    for path, labels in found.items():
        name = Path(path).name
        np.testing.assert_array_equal(labels, read_labels(tiny_run.folder("picked") / "svm" / name))
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "server" / path).read_bytes()
        with Image.open(Path(tiny_run.settings.data.voc, "JPEGImages", name).with_suffix(".jpg")) as photograph:
            assert labels.shape == (photograph.height, photograph.width)
    first = archive.read_bytes()
    again = call("export", "voc", tiny_run.path, "--out", tmp_path / "out")
    assert again.exit_code == 1 and "already exists; pass --force" in " ".join(again.stderr.split())
    assert call("export", "voc", tiny_run.path, "--out", tmp_path / "out", "--force").exit_code == 0
    assert archive.read_bytes() == first


def test_a_split_without_masks_is_labelled_here(tmp_path: Path, own: Run) -> None:
    root = Path(own.settings.data.voc)
    val = VOCSegmentation(root, "val")
    for i, name in enumerate(("2012_000001", "2012_000002")):
        shutil.copyfile(val.image_path(i), root / "JPEGImages" / f"{name}.jpg")
    (root / "ImageSets/Segmentation/test.txt").write_text("2012_000001\n2012_000002\n")
    archive = export_voc(own, tmp_path / "out", split="test")
    assert archive.name == "comp6_test.tar.gz"
    found = unpacked(archive, tmp_path / "server")
    segmenter = Segmenter(own.path, progress=Silent())
    for i, name in enumerate(("2012_000001", "2012_000002")):
        expected = segmenter(read_image(val.image_path(i))).labels
        np.testing.assert_array_equal(found[f"{INNER.format('test')}/{name}.png"], expected)
    (root / "JPEGImages/2012_000002.jpg").write_bytes(b"no photograph")
    with pytest.raises(DatasetError, match=r"2012_000002\.jpg: cannot be read as an image"):
        export_voc(own, tmp_path / "other", split="test")
    (root / "JPEGImages/2012_000002.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 of 2 files are missing: JPEGImages/2012_000002\.jpg"):
        export_voc(own, tmp_path / "other", split="test")
    with pytest.raises(DatasetError, match=r"tset\.txt: there is no such split.*did you mean test\?"):
        export_voc(own, tmp_path / "other", split="tset")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_run_whose_val_has_no_masks(tmp_path: Path, tiny_run: Run, own: Run) -> None:
    """As with VOC's test: the same ranker is fitted, and its picks are the same as if there had been masks."""
    split = VOCSegmentation(own.settings.data.voc, "val")
    for i in range(len(split)):
        split.labels_path(i).unlink()
    run = run_experiment(tmp_path / "run", own.settings, jobs=1, progress=Silent(), until="ranker")
    fitted = [one.folder("ranker") / "ranker.safetensors" for one in (run, tiny_run)]
    assert fitted[0].read_bytes() == fitted[1].read_bytes()
    found = unpacked(export_voc(run, tmp_path / "out"), tmp_path / "server")
    assert len(found) == 6
    for path, labels in found.items():
        np.testing.assert_array_equal(labels, read_labels(tiny_run.folder("picked") / "svm" / Path(path).name))
    rows = table_of(export_proposals(run, tmp_path / "proposals"))
    assert {(row["ranker_score"], row["image_iou"]) for row in rows} == {("", "")}


def test_an_image_of_another_size_or_without_labels_is_refused(tmp_path: Path, own: Run) -> None:
    root, name = Path(own.settings.data.voc), names(own, "val")[2]
    photograph = root / "JPEGImages" / f"{name}.jpg"
    whole = photograph.read_bytes()
    Image.new("RGB", (40, 30)).save(photograph)
    with pytest.raises(DatasetError, match=rf"svm/{name}\.png: is \d+ x \d+, its image 40 x 30; the image has changed"):
        export_voc(own, tmp_path / "out")
    photograph.write_bytes(whole)
    (root / "JPEGImages/more.jpg").write_bytes(whole)
    with (root / "ImageSets/Segmentation/val.txt").open("a") as stream:
        stream.write("more\n")
    with pytest.raises(DatasetError, match=r"svm: lacks 1 of the 7 label maps of 'val': more\.png; run on all"):
        export_voc(own, tmp_path / "out")
    limited = replace(own, settings=replace(own.settings, data=replace(own.settings.data, limit=6)))
    with pytest.raises(DatasetError, match=r"of 'val', as data\.limit left them out: more\.png"):
        export_voc(limited, tmp_path / "out")
    assert len(list(export_labels(limited, tmp_path / "labels").iterdir())) == 6  # those of the run
    unfinished = tmp_path / "unfinished"
    shutil.copytree(own.path, unfinished, ignore=lambda folder, names: set(names) - {"run.toml"})
    with pytest.raises(CheckpointError, match="labelling a photograph needs the stages trunk"):
        export_voc(replace(own, path=unfinished), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("split", ["val", "train"])
def test_proposals_are_copied_with_a_table(tmp_path: Path, tiny_run: Run, split: str) -> None:
    result = call("export", "proposals", tiny_run.path, "--out", tmp_path / "out", "--split", split)
    table = tmp_path / "out" / f"{split}.csv"
    assert (result.exit_code, result.stdout) == (0, f"{table}\n")
    theirs, ours = ProposalStore(tmp_path / "out"), ProposalStore(tiny_run.folder("proposals") / split)
    names = sorted(path.name for path in theirs.root.iterdir() if path.is_dir())
    assert names == sorted(path.name for path in ours.root.iterdir() if path.is_dir())
    rows, described = table_of(table), load_described(tiny_run, split).table
    assert [row["image"] for row in rows] == [described.images[group] for group in described.groups]
    np.testing.assert_array_equal([float(row["image_iou"]) for row in rows], described.quality)
    for name in names:
        for one, other in zip(theirs.read(name), ours.read(name), strict=True):
            np.testing.assert_array_equal(one, other)
        own = [row for row in rows if row["image"] == name]
        assert sorted(int(row["rank"]) for row in own) == list(range(1, len(own) + 1))
        ranked = sorted(own, key=lambda row: -float(row["ranker_score"]))
        assert [int(row["rank"]) for row in ranked] == list(range(1, len(own) + 1))
        if split == "val":  # rank 1 is what the run picked
            picked = tiny_run.folder("picked") / "svm" / f"{name}.png"
            assert (tmp_path / "out" / ranked[0]["file"]).read_bytes() == picked.read_bytes()
    with pytest.raises(OutputError, match="already exists; pass --force"):
        export_proposals(tiny_run, tmp_path / "out", split=split)


@pytest.mark.parametrize("what", ["labels", "voc", "proposals"])
def test_an_interrupted_export_resumes(
    tmp_path: Path, tiny_run: Run, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    export, out, whole = ("export", what, tiny_run.path, "--out"), tmp_path / "out", tmp_path / "whole"
    assert call(*export, whole).exit_code == 0
    flush = Mock(side_effect=[None] * 4 + [KeyboardInterrupt])  # once for each file
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", flush)
        assert call(*export, out).exit_code == 130
    held = contents(out)
    assert len(held) == 4
    kept = next(path for path in sorted(out.rglob("*")) if path.is_file())
    kept.write_bytes(b"kept")
    assert call(*export, out).exit_code == 1
    assert call(*export, out, "--skip-existing").exit_code == 0
    assert kept.read_bytes() == b"kept"
    names = set(contents(whole)) - {str(kept.relative_to(out))}
    if what == "voc":
        names.remove("comp6_val.tar.gz")  # it holds the one that was changed
    assert {name: contents(out)[name] for name in names} == {name: contents(whole)[name] for name in names}
    both = call(*export, out, "--skip-existing", "--force")
    assert both.exit_code == 1 and "pass one of them" in " ".join(both.stderr.split())


def test_proposals_of_a_run_that_ends_there(tmp_path: Path, tiny_run: Run) -> None:
    shutil.copytree(tiny_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("described", "ranker", "picked"))
    rows = table_of(export_proposals(replace(tiny_run, path=tmp_path / "run"), tmp_path / "out"))
    assert {(row["ranker_score"], row["rank"], row["image_iou"]) for row in rows} == {("", "", "")}
    assert all(float(row["model_score"]) < np.inf for row in rows)
    with pytest.raises(ConfigError, match='split="test": choose one of train, val'):
        export_proposals(tiny_run, tmp_path / "other", split="test")
    with pytest.raises(CheckpointError, match="an export of the proposals needs the stage proposals"):
        export_proposals(replace(tiny_run, path=tmp_path), tmp_path / "other")
