from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tinysegrank.errors import CheckpointError, DatasetError
from tinysegrank.experiment import Silent
from tinysegrank.experiment.run_folder import check_run_folder, read_run
from tinysegrank.links import check_links
from tinysegrank.proposals import Proposal
from tinysegrank.proposals.store import ProposalStore
from tinysegrank.voc import VOCSegmentation
from tinysegrank.voc.toy import make_toy_voc


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside" / "inner").mkdir(parents=True)
    (tmp_path / "outside" / "file").write_text("of the user")
    return tmp_path / "outside"


@pytest.mark.parametrize("to", ["file", "inner", "missing", "../outside-too", ".."])
@pytest.mark.parametrize("place", ["link", "a/b/link"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_link_that_leads_out_is_named(tmp_path, outside, to, place, relative):
    link = tmp_path / "folder" / place
    link.parent.mkdir(parents=True)
    up = "../" * (place.count("/") + 1)
    link.symlink_to(Path(up, "outside", to) if relative else outside / to)
    with pytest.raises(DatasetError, match=f"{place}: is a link that leads out of .*folder; replace it by a copy"):
        check_links(tmp_path / "folder", DatasetError)


def test_links_that_stay_inside_are_taken(tmp_path):
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "file").touch()
    for name, to in {"a/up": "../file", "same": "file", "a/circle": "..", "loop": "loop", "whole": folder}.items():
        (folder / name).symlink_to(to)
    (tmp_path / "name").symlink_to(folder)
    for given in (folder, tmp_path / "name", tmp_path / "missing", folder / "file"):
        check_links(given, DatasetError)


def test_a_link_through_another_is_followed_to_its_end(tmp_path, outside):
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "first").symlink_to(folder / "second")
    check_links(folder, DatasetError)
    (folder / "second").symlink_to(outside / "file")
    with pytest.raises(DatasetError, match=r"(first|second): is a link"):
        check_links(folder, DatasetError)


def test_folders_with_the_same_beginning_are_others(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data-of-others").touch()
    (tmp_path / "data" / "link").symlink_to("../data-of-others")
    with pytest.raises(DatasetError, match="leads out"):
        check_links(tmp_path / "data", DatasetError)


@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationClass", "SegmentationObject"])
def test_photographs_and_masks_are_not_read_from_elsewhere(tmp_path, folder):
    root = tmp_path / "voc"
    make_toy_voc(root, train=2, val=2, seed=0)
    (root / "SegmentationObject").mkdir(exist_ok=True)
    (tmp_path / "root").symlink_to(root)
    name = VOCSegmentation(tmp_path / "root", "val").names[0]
    file = next((root / folder).glob(f"{name}.*"), root / folder / f"{name}.png")
    (tmp_path / "elsewhere").write_bytes(file.read_bytes() if file.exists() else b"")
    file.unlink(missing_ok=True)
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=f"{file.name}: is a link that leads out of"):
        VOCSegmentation(root, "val")


@pytest.mark.parametrize("link", ["name", "name/00.png", "name/scores.json", "name/segments.json"])
def test_proposals_are_not_read_from_elsewhere(tmp_path, link):
    store = ProposalStore(tmp_path / "store")
    store.write("name", [Proposal(np.zeros((3, 4), np.uint8), 0.5, np.zeros(1, np.int64))])
    store.read("name")
    path = tmp_path / "store" / link
    if path.exists():
        shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for read in (store.read, store.read_scores, store.read_segments):
        with pytest.raises(DatasetError, match=f"{link}: is a link that leads out of"):
            read("name")


@pytest.mark.parametrize("link", ["report/index.html", "picked", "stamp.json"])
def test_a_run_is_not_written_through_a_link(tmp_path, outside, link):
    run = tmp_path / "run"
    (run / link).parent.mkdir(parents=True, exist_ok=True)
    (run / "run.toml").write_text("seed = 1\n")
    (run / link).symlink_to(outside / "file")
    with pytest.raises(CheckpointError, match=f"{link}: is a link that leads out of"):
        check_run_folder(run)
    with pytest.raises(CheckpointError, match=f"{link}: is a link that leads out of"):
        read_run(run, jobs=1, progress=Silent())
    assert (outside / "file").read_text() == "of the user"
