"""README's commands on PASCAL VOC, with a server on this machine for the publishers', and on data of one's own."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.fetching.file_server import FileServer
from tests.fetching.published import SBD_ONLY, annotation, sbd_archive, sbd_masks, voc_archive
from tests.segnet.segnet_toys import write_caffemodel
from tinysegrank.cli import app
from tinysegrank.fetching import SOURCES
from tinysegrank.segnet import SegNet
from tinysegrank.voc import VOCSegmentation

README = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
SECTION = README.split("## On PASCAL VOC\n")[1]
COMMANDS = [shlex.split(line, comments=True)[1:] for line in SECTION.split("The last command")[0].splitlines() if line]


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def published(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, and all published files, made of toys, under their own names."""
    made = tmp_path / "published"
    voc = voc_archive(made)
    sbd = sbd_archive(
        made / "benchmark.tgz", {n: annotation(m) for n, m in sbd_masks(made / "VOCdevkit/VOC2012").items()}
    )
    arrays = {name: np.asarray(array) for name, array in SegNet(4, "alexnet").trunk.parameters.items()}
    weights = write_caffemodel(made / "bvlc_alexnet.caffemodel", arrays)
    for name, path in (("voc2012", voc), ("sbd", sbd), ("alexnet", weights)):
        content = path.read_bytes()
        server.files[f"/{path.name}"] = content
        checksum = f"md5:{hashlib.md5(content).hexdigest()}"
        assert SOURCES[name].file == path.name
        source = SOURCES[name]._replace(address=f"{server.address}/{path.name}", checksum=checksum)
        monkeypatch.setitem(SOURCES, name, source)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return made


def test_the_commands_fetch_and_run(published: Path, server: FileServer) -> None:
    assert [command[0] for command in COMMANDS] == ["fetch", "fetch", "fetch", "run"]
    server.faults = ["break", "", "corrupt"]
    for command in COMMANDS[:3]:
        outcome = call(*command)
        assert outcome.exit_code == 0, outcome.output
    outcome = call(*COMMANDS[3], "--until", "data")
    assert outcome.exit_code == 0, outcome.output
    root = Path("data/VOCdevkit/VOC2012")
    train, augmented = VOCSegmentation(root, "train"), VOCSegmentation(root, "train_aug")
    assert augmented.names == (*train.names, *SBD_ONLY)
    assert "train: 5 images of VOC2012/train_aug" in outcome.output
    asked = len(server.asked)
    for command in COMMANDS[:3]:  # again: everything is there
        assert call(*command).exit_code == 0
    assert len(server.asked) == asked


def test_archives_on_disk(published: Path, server: FileServer) -> None:
    early = call("fetch", "sbd", "--to", "my data")
    assert early.exit_code == 1 and "run `tinysegrank fetch voc2012 --to 'my data'` first" in early.stderr
    outcome = call("fetch", "voc2012", "--to", "my data", "--archive", published / "VOCtrainval_11-May-2012.tar")
    assert outcome.exit_code == 0 and "as published" in " ".join(outcome.output.split()), outcome.output
    assert "give it to `tinysegrank run --voc 'my data/VOCdevkit/VOC2012'`" in outcome.output
    (published / "benchmark.tgz").rename(published / "own.tgz")
    with (published / "own.tgz").open("ab") as stream:
        stream.write(bytes(512))  # gzip's padding
    outcome = call("fetch", "sbd", "--to", "my data", "--archive", published / "own.tgz")
    assert outcome.exit_code == 0 and "not the published file" in " ".join(outcome.output.split()), outcome.output
    assert not server.asked
    assert len(VOCSegmentation("my data/VOCdevkit/VOC2012", "train_aug")) == 5


@pytest.mark.usefixtures("published")
def test_what_cannot_be_fetched() -> None:
    for arguments, said in (
        (["coco"], 'fetch="coco": choose one of voc2012, sbd, alexnet, caffenet, torchvision-alexnet'),
        (["alexnet", "--archive", "net"], "archive=net: alexnet is a single file; give it to `run --weights`"),
        (["voc2012", "--archive", "nowhere.tar"], "nowhere.tar: cannot be read: No such file or directory"),
        (["voc2012", "--mirror", "host"], "mirror=host: give an address"),
    ):
        outcome = call("fetch", *arguments, "--to", "data")
        assert outcome.exit_code == 1
        assert said in " ".join(outcome.stderr.split())
        assert not Path("data").exists()
    outcome = call("run", "--voc", "nowhere", "--weights", "x", "--out", "runs/voc")
    assert outcome.exit_code == 1
    made = call("fetch", "voc2012", "--to", "data")
    assert "data/VOCdevkit/VOC2012: give it to `tinysegrank run --voc data/VOCdevkit/VOC2012`" in made.output
    Path("net").touch()
    outcome = call("run", "--voc", "data/VOCdevkit/VOC2012", "--weights", "net", "--out", "runs/voc")
    assert "train_aug.txt: there is no such split; there are train, trainval, val" in outcome.stderr
    assert (
        "pass --set data.train=train, or get SBD, for VOC's images: `tinysegrank fetch sbd --to FOLDER`"
        in outcome.stderr
    )


def test_ones_own_data_needs_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of README's next section, on a field that is drawn here with grey masks."""
    monkeypatch.chdir(tmp_path)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / "field" / folder).mkdir(parents=True)
    labels = np.zeros((30, 40), np.uint8)
    labels[5:20, 5:20] = 1
    for split in ("train", "val"):
        for i in range(2):
            Image.fromarray(np.repeat(90 * labels[..., None], 3, 2)).save(f"field/JPEGImages/{split}{i}.jpg")
            Image.fromarray(labels).save(f"field/SegmentationClass/{split}{i}.png")
        Path(f"field/ImageSets/Segmentation/{split}.txt").write_text(f"{split}0\n{split}1\n")
    section = README.split("## On photographs and classes of your own\n")[1].split("trains on them")[0]
    commands = [shlex.split(line, comments=True)[1:] for line in section.splitlines() if "tinysegrank" in line]
    assert [command[0] for command in commands] == ["run", "run", "predict"]
    unnamed = call(*commands[1], "--until", "data")
    assert unnamed.exit_code == 1 and "field/classes.txt: is missing, and train0.png doesn't" in unnamed.stderr
    assert not Path("runs").exists()
    Path("field/classes.txt").write_text("weed #b43cdc\n")
    assert "alexnet.caffemodel: cannot be read" in call(*commands[0], "--until", "data").stderr
    made = call(*commands[1], "--until", "data")
    assert made.exit_code == 0 and "2 grey PNGs of numbers; 1 of 1 classes" in made.output, made.output
    Image.new("RGB", (40, 30)).save("new_photo.jpg")
    unfinished = call(*commands[2])
    resumed = (
        f"tinysegrank run --voc {tmp_path}/field --config {tmp_path}/runs/field/run.toml --out {tmp_path}/runs/field"
    )
    assert unfinished.exit_code == 1 and unfinished.stderr.endswith(f"; finish it by: {resumed}\n")
    again = call(*shlex.split(resumed)[1:], "--until", "data")
    assert again.exit_code == 0 and "data kept" in again.output
