"""VOC's and SBD's archives, whole, damaged and hostile."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.fetching.published import SBD_ONLY, Recorded, add_file, annotation, sbd_archive, sbd_masks, voc_archive
from tinysegrank.errors import DatasetError, OutputError
from tinysegrank.experiment import Silent
from tinysegrank.fetching import add_sbd, unpack_voc, voc_root
from tinysegrank.voc import VOCSegmentation, write_labels


@pytest.fixture(scope="module")
def voc_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return voc_archive(tmp_path_factory.mktemp("published"))


@pytest.fixture
def root(voc_tar: Path, tmp_path: Path) -> Path:
    return unpack_voc(voc_tar, tmp_path / "data", progress=Silent())


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# VOC -----------------------------------------------------------------------------------------------------------------


def test_voc_is_unpacked_and_kept(voc_tar: Path, root: Path, tmp_path: Path) -> None:
    assert root == tmp_path / "data" / "VOCdevkit" / "VOC2012" == voc_root(tmp_path / "data")
    assert files(root) == files(voc_tar.parent / "VOCdevkit" / "VOC2012")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["VOCdevkit"]
    VOCSegmentation(root, "trainval").check()
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert unpack_voc(tmp_path / "not even there", tmp_path / "data", progress=Silent()) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert voc_root(root) == root


def test_an_incomplete_voc_is_replaced_only_when_asked(voc_tar: Path, root: Path) -> None:
    whole = files(root)
    first = VOCSegmentation(root, "val")
    first.labels_path(0).unlink()
    first.image_path(0).write_bytes(b"damaged")
    (root / "own.txt").write_text("mine")
    with pytest.raises(OutputError, match="VOC2012: exists and is not complete; pass --force"):
        unpack_voc(voc_tar, root.parents[1], progress=Silent())
    unpack_voc(voc_tar, root.parents[1], progress=Silent(), replace=True)
    assert files(root) == whole | {"own.txt": b"mine"}


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("../outside", {}, "is not unpacked, as .*outside the destination"),
        ("VOCdevkit/../../outside", {}, "is not unpacked, as .*outside the destination"),
        ("VOCdevkit/link", {"type": tarfile.SYMTYPE, "linkname": "/etc"}, "is not unpacked, as .*link"),
        ("VOCdevkit/link", {"type": tarfile.SYMTYPE, "linkname": "VOC2012"}, "is not unpacked, as .*link"),
        ("VOCdevkit/link", {"type": tarfile.LNKTYPE, "linkname": "VOCdevkit"}, "is not unpacked, as .*link"),
        ("VOCdevkit/null", {"type": tarfile.CHRTYPE}, "is not unpacked, as .*special file"),
        ("VOCdevkit/pipe", {"type": tarfile.FIFOTYPE}, "is not unpacked, as .*special file"),
        (
            "VOCdevkit/VOC2012/readme",
            {},
            "is not VOC's trainval archive: VOCdevkit/VOC2012: holds no folder JPEGImages",
        ),
        ("photos/a.jpg", {}, "is not VOC's trainval archive"),
    ],
)
def test_archives_that_are_hostile_or_of_something_else(tmp_path: Path, name: str, fields: dict, said: str) -> None:
    with tarfile.open(tmp_path / "voc.tar", "w") as tar:
        add_file(tar, name, **fields)
    with pytest.raises(DatasetError, match=rf"voc\.tar: {said}"):
        unpack_voc(tmp_path / "voc.tar", tmp_path / "data", progress=Silent())
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", "voc.tar"]


def test_an_absolute_path_stays_inside(voc_tar: Path, tmp_path: Path) -> None:
    shutil.copy(voc_tar, tmp_path / "voc.tar")
    with tarfile.open(tmp_path / "voc.tar", "a") as tar:
        add_file(tar, f"{tmp_path}/outside")
    unpack_voc(tmp_path / "voc.tar", tmp_path / "data", progress=Silent())
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_a_cut_archive_leaves_nothing(voc_tar: Path, tmp_path: Path, share: float) -> None:
    content = voc_tar.read_bytes()
    (tmp_path / "cut.tar").write_bytes(content[: int(share * len(content))])
    with pytest.raises(DatasetError, match=r"cut\.tar: is "):
        unpack_voc(tmp_path / "cut.tar", tmp_path / "data", progress=Silent())
    assert not list((tmp_path / "data").iterdir())


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"<html>" * 500)
    with pytest.raises(DatasetError, match=r"a\.tar: is damaged or isn't a tar archive") as refused:
        unpack_voc(tmp_path / "a.tar", tmp_path / "data", progress=Silent())
    assert "\n" not in str(refused.value)
    with pytest.raises(DatasetError, match="nowhere: cannot be read: No such file"):
        unpack_voc(tmp_path / "nowhere", tmp_path / "data", progress=Silent())


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_unpacking_is_counted_by_what_is_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr("tinysegrank.fetching.archives.MEGABYTE", 1000)
    with tarfile.open(tmp_path / "voc.tar", mode) as tar:
        tar.add(root.parent, "VOCdevkit")
    progress = Recorded()
    unpack_voc(tmp_path / "voc.tar", tmp_path / "again", progress=progress)
    thousands = (tmp_path / "voc.tar").stat().st_size // 1000
    ((what, total, done),) = progress.counts
    assert (what, total) == ("voc.tar, MB read", thousands) and 0.6 * thousands < done <= thousands


# SBD -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_sbd_is_added_without_val_and_voc_wins(root: Path, tmp_path: Path, kind: str) -> None:
    masks, before = sbd_masks(root), files(root)
    annotations = {name: annotation(mask) for name, mask in masks.items()}
    source = tmp_path / "benchmark.tgz"
    if kind == "archive":
        sbd_archive(source, annotations)
    else:
        folder = source / "dataset" / "cls"
        folder.mkdir(parents=True)
        for name, content in annotations.items():
            (folder / f"{name}.mat").write_bytes(content)
    assert add_sbd(source, root, progress=Silent()) == root / "ImageSets/Segmentation/train_aug.txt"
    train, val, augmented = (VOCSegmentation(root, split) for split in ("train", "val", "train_aug"))
    assert augmented.names == (*train.names, *SBD_ONLY)
    assert not set(augmented.names) & set(val.names)
    for name in SBD_ONLY:
        np.testing.assert_array_equal(augmented.labels(augmented.names.index(name)), masks[name])
    augmented.check()
    assert before.items() <= files(root).items()  # VOC's own masks and lists too
    stamps = {path: path.stat().st_mtime_ns for path in (root / "SegmentationClass").iterdir()}
    add_sbd(source, root, progress=Silent())
    assert {path: path.stat().st_mtime_ns for path in (root / "SegmentationClass").iterdir()} == stamps


def test_another_train_aug_is_replaced_only_when_asked(root: Path, tmp_path: Path) -> None:
    masks = sbd_masks(root)
    source = sbd_archive(tmp_path / "sbd.tgz", {name: annotation(mask) for name, mask in masks.items()})
    listed = root / "ImageSets/Segmentation/train_aug.txt"
    listed.write_text(f"{SBD_ONLY[0]}\n")
    write_labels(root / "SegmentationClass" / f"{SBD_ONLY[0]}.png", np.zeros((20, 20), np.uint8))
    with pytest.raises(OutputError, match=r"train_aug\.txt: exists and has other names; pass --force"):
        add_sbd(source, root, progress=Silent())
    add_sbd(source, root, progress=Silent(), replace=True)
    augmented = VOCSegmentation(root, "train_aug")
    np.testing.assert_array_equal(augmented.labels(3), masks[SBD_ONLY[0]])
    assert len(augmented) == 5


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (SBD_ONLY[0], b"no mat file", r"2008_000007\.mat: is not an annotation of SBD"),
        (SBD_ONLY[0], annotation(np.zeros((3, 3), np.uint8)), r"2008_000007\.mat: shape \(3, 3\) does not fit .*jpg"),
        ("2009_000001", annotation(np.zeros((3, 3), np.uint8)), "lacks the photographs of 1 of SBD's annotations"),
        ("../../../2008_000007", b"", "not an annotation"),
    ],
    ids=["not a .mat file", "wrong shape", "no photograph", "name outside the folder"],  # .mat bytes hold the time
)
def test_annotations_that_do_not_fit(root: Path, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    source, before = sbd_archive(tmp_path / "sbd.tgz", {name: content} if ".." not in name else {}), files(root)
    if ".." in name:
        with tarfile.open(source, "w:gz") as tar:
            add_file(tar, f"cls/{name}.mat")
            add_file(tar, f"{name.rpartition('/')[0]}/cls/{SBD_ONLY[0]}.mat", content)
    with pytest.raises(DatasetError, match=said):
        add_sbd(source, root, progress=Silent())
    assert files(root) == before


def test_a_class_that_voc_does_not_have_is_named_with_its_file(root: Path, tmp_path: Path) -> None:
    shape = sbd_masks(root)[SBD_ONLY[0]].shape
    source = sbd_archive(tmp_path / "sbd.tgz", {SBD_ONLY[0]: annotation(np.full(shape, 77, np.uint8))})
    with pytest.raises(DatasetError, match=r"sbd\.tgz: 2008_000007\.mat: 77 is not a class"):
        add_sbd(source, root, progress=Silent())


@pytest.mark.parametrize("link", [f"SegmentationClass/{SBD_ONLY[0]}.png", "ImageSets/Segmentation/train_aug.txt"])
def test_nothing_is_written_through_a_link(root: Path, tmp_path: Path, link: str) -> None:
    masks = {name: annotation(mask) for name, mask in sbd_masks(root).items()}
    (root / link).unlink(missing_ok=True)
    (root / link).symlink_to(tmp_path / "outside")
    with pytest.raises(DatasetError, match=f"{link}: is a link that leads out of"):
        add_sbd(sbd_archive(tmp_path / "sbd.tgz", masks), root, progress=Silent(), replace=True)
    assert not (tmp_path / "outside").exists()


def test_archives_without_masks(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no cls/NAME\.mat"):
        add_sbd(sbd_archive(tmp_path / "sbd.tgz", {}), root, progress=Silent())
    whole = sbd_archive(tmp_path / "sbd.tgz", {SBD_ONLY[0]: annotation(np.ones((300, 300), np.uint8))}).read_bytes()
    for content in (whole[: len(whole) // 2], b"\x1f\x8b\x08\x00no gzip", b"text"):
        (tmp_path / "cut.tgz").write_bytes(content)
        with pytest.raises(DatasetError, match=r"cut\.tgz: is damaged"):
            add_sbd(tmp_path / "cut.tgz", root, progress=Silent())
    (root / "ImageSets/Segmentation/val.txt").unlink()
    with pytest.raises(DatasetError, match=r"val\.txt: there is no such split"):
        add_sbd(tmp_path / "cut.tgz", root, progress=Silent())
