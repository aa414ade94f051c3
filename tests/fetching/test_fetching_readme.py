"""README's section on PASCAL VOC: its commands, with a server on this machine instead of the publishers'."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.fetching.file_server import FileServer
from tests.fetching.published import SBD_ONLY, annotation, sbd_archive, sbd_masks, voc_archive
from tests.segnet.segnet_toys import write_caffemodel
from tinysegrank.cli import app
from tinysegrank.fetching import SOURCES
from tinysegrank.segnet import SegNet
from tinysegrank.voc import VOCSegmentation

SECTION = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8").split("## On PASCAL VOC\n")[1]
COMMANDS = [
    shlex.split(line, comments=True)[1:] for line in SECTION.split("runs the experiment")[0].splitlines() if line
]


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
    early = call("fetch", "sbd", "--to", "data")
    assert early.exit_code == 1 and "run `fetch voc2012 --to data` first" in early.stderr
    outcome = call("fetch", "voc2012", "--to", "data", "--archive", published / "VOCtrainval_11-May-2012.tar")
    assert outcome.exit_code == 0 and "as published" in " ".join(outcome.output.split()), outcome.output
    (published / "benchmark.tgz").rename(published / "own.tgz")
    with (published / "own.tgz").open("ab") as stream:
        stream.write(bytes(512))  # gzip's padding
    outcome = call("fetch", "sbd", "--to", "data", "--archive", published / "own.tgz")
    assert outcome.exit_code == 0 and "not the published file" in " ".join(outcome.output.split()), outcome.output
    assert not server.asked
    assert len(VOCSegmentation("data/VOCdevkit/VOC2012", "train_aug")) == 5


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
    outcome = call("run", "--voc", "data/VOCdevkit/VOC2012", "--weights", "x", "--out", "runs/voc")
    assert "train_aug.txt: there is no such split; there are train, trainval, val" in outcome.stderr
    assert "pass --set data.train=train, or get SBD: `tinysegrank fetch sbd`" in outcome.stderr
