"""Split files as people write them: right, or named with what to do; and folds of images."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.voc.split import assign_folds, files_by_stem, read_split

NAMES = ("2007_000032", "2007_000039", "2007_000063")


@pytest.mark.parametrize(
    "content",
    [
        b"2007_000032\n2007_000039\n2007_000063\n",
        b"2007_000032\n2007_000039\n2007_000063",
        b"\xef\xbb\xbf2007_000032\r\n2007_000039\r\n2007_000063\r\n",  # byte order mark, as Notepad writes it
        b"2007_000032  \n\n \t2007_000039\t\r\n2007_000063\n\n\n",
        b"2007_000032\r2007_000039\r2007_000063\r",
    ],
)
def test_marks_line_ends_and_blanks_do_not_matter(tmp_path, content):
    (tmp_path / "val.txt").write_bytes(content)
    assert read_split(tmp_path / "val.txt") == NAMES


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path, encoding):
    (tmp_path / "val.txt").write_bytes("\n".join(NAMES).encode(encoding))
    with pytest.raises(DatasetError, match=r"val\.txt: is UTF-16 text; save it as UTF-8, one name per line$"):
        read_split(tmp_path / "val.txt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no images"),
        ("\n \n", "names no images"),
        ("\ufeff", "names no images"),
        ("a\nb\na\n", "names 1 images more than once: a; remove the copies"),
        ("2007_000001 1\n2007_000002 -1\n", "2 lines are not one bare image name: 2007_000001 1, .* a second column$"),
        ("/JPEGImages/a.jpg /SegmentationClass/a.png\nb\n", "1 lines are not one bare"),
        ("a.jpg\nb.JPG\nc.png\nd.jpeg\n", "4 lines are not one bare image name: a.jpg, b.JPG.*an ending"),
        ("JPEGImages\\\\a\n", "1 lines are not one bare .*without a folder"),
    ],
)
def test_what_is_no_list_of_names_is_refused(tmp_path, text, words):
    (tmp_path / "bad.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=rf"bad\.txt: {words}"):
        read_split(tmp_path / "bad.txt")


def test_names_with_dots_and_other_letters_are_names(tmp_path):
    (tmp_path / "val.txt").write_text("photo.1\nh\u00e4user\nIMG_2.5\n", encoding="utf-8")
    assert read_split(tmp_path / "val.txt") == ("photo.1", "h\u00e4user", "IMG_2.5")


def test_files_by_stem_takes_endings_in_any_case(tmp_path):
    for name in ("a.JPG", "b.c.jpeg", "d.txt", ".hidden", "e"):
        (tmp_path / name).touch()
    assert files_by_stem(tmp_path, (".jpg", ".jpeg")) == {"a": "a.JPG", "b.c": "b.c.jpeg"}
    assert files_by_stem(tmp_path / "gone", (".jpg",)) == {}
    (tmp_path / "a.jpeg").touch()
    with pytest.raises(DatasetError, match=r"a\.jpeg: a\.JPG is there too; remove one"):
        files_by_stem(tmp_path, (".jpg", ".jpeg"))


def test_latin_1_is_named(tmp_path):
    (tmp_path / "val.txt").write_bytes("h\u00e4user\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"val\.txt: cannot be used \(not UTF-8 text\)"):
        read_split(tmp_path / "val.txt")


def test_a_missing_split_lists_those_there_are_and_what_would_do(tmp_path):
    for name in ("train", "val", "trainval"):
        (tmp_path / f"{name}.txt").write_text("a\n")
    with pytest.raises(DatasetError, match=r"tset\.txt: there is no such split; there are train, trainval, val$"):
        read_split(tmp_path / "tset.txt")
    with pytest.raises(
        DatasetError, match=r"there are train, trainval, val; pass --set data\.train=train, or get SBD.*: .tinysegrank"
    ):
        read_split(tmp_path / "train_aug.txt")
    with pytest.raises(DatasetError, match="that folder has no split files"):
        read_split(tmp_path / "nowhere" / "val.txt")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EISDIR])
def test_what_the_system_refuses_is_named(tmp_path, monkeypatch, number):
    def refuse(path):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DatasetError, match=rf"val\.txt: cannot be read: {os.strerror(number)}; "):
        read_split(tmp_path / "val.txt")


ANY_NAMES = st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=2, max_size=40, unique=True)


@given(names=ANY_NAMES, seed=st.integers(0, 5), data=st.data())
def test_balanced_and_independent_of_the_order_of_names(names, seed, data):
    count = data.draw(st.integers(2, len(names)))
    folds = assign_folds(names, count, seed=seed)
    sizes = np.bincount(folds, minlength=count)
    assert sizes.size == count and np.ptp(sizes) <= 1
    shuffled = data.draw(st.permutations(names))
    again = dict(zip(shuffled, assign_folds(shuffled, count, seed=seed), strict=True))
    assert [again[name] for name in names] == folds.tolist()


def test_the_seed_matters_and_neighbours_are_spread():
    names = [f"2007_{index:06d}" for index in range(1000)]
    folds = [assign_folds(names, 10, seed=seed) for seed in range(3)]
    assert len({tuple(each) for each in folds}) == 3
    for each in folds:  # independent folds agree by chance on a tenth of neighbours; 5 standard deviations
        assert abs((each[1:] == each[:-1]).mean() - 0.1) < 0.05


@pytest.mark.parametrize("count", [-1, 0, 1, 4])
def test_impossible_counts(count):
    with pytest.raises(ConfigError, match=f"{count} folds of 3 images"):
        assign_folds(["a", "b", "c"], count, seed=0)


def test_doubled_names():
    with pytest.raises(DatasetError, match="is duplicated"):
        assign_folds(["a", "b", "a"], 2, seed=0)
