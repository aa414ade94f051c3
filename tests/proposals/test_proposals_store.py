"""The proposal store: what is written comes back, anyone's folder is read, bad files are named."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import DatasetError
from tinysegrank.proposals import PastedSegments, Proposal, ProposalStore
from tinysegrank.voc import Classes, palette, write_labels


def proposals(count=3, shape=(5, 7), seed=0):
    rng = np.random.default_rng(seed)
    return [
        Proposal(rng.integers(0, 21, shape).astype(np.uint8), -float(m) / 3, np.zeros(1, int)) for m in range(count)
    ]


@pytest.mark.parametrize("count", [1, 3, 101])
def test_what_is_written_comes_back_in_order(tmp_path, count):
    store, given = ProposalStore(tmp_path / "store"), proposals(count)
    assert not store.folder("one").exists()
    store.write("one", given)
    labels, scores = store.read("one")
    np.testing.assert_array_equal(labels, [p.labels for p in given])
    np.testing.assert_array_equal(scores, [p.score for p in given])
    assert labels.dtype == np.uint8
    assert store.folder("one").is_dir()
    assert [path.name for path in store.root.iterdir()] == ["one"]
    assert store.path("one", 0).name == ("000.png" if count > 100 else "00.png")


def test_files_are_voc_palette_pngs(tmp_path):
    given = proposals(1)
    ProposalStore(tmp_path).write("one", given)
    with Image.open(tmp_path / "one" / "00.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.array(image), given[0].labels)
        np.testing.assert_array_equal(np.reshape(image.getpalette(), (-1, 3))[:21], palette()[:21])


def test_writing_again_replaces(tmp_path):
    store = ProposalStore(tmp_path)
    store.write("one", proposals(5))
    store.write("one", proposals(2, seed=1))
    assert len(store.read("one")[0]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    store, calls = ProposalStore(tmp_path), []

    def failing(path, labels, classes):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write_labels(path, labels, classes)

    monkeypatch.setattr("tinysegrank.proposals.store.write_labels", failing)
    with pytest.raises(KeyboardInterrupt):
        store.write("one", proposals())
    assert list(tmp_path.iterdir()) == []


def bring(folder, numbers, shape=(4, 6)):
    for number in numbers:
        write_labels(folder / f"{number}.png", np.full(shape, int(number) % 21))


def test_anyones_folder_is_read_with_gaps_and_without_scores(tmp_path):
    bring(tmp_path / "photo", ["2", "10", "07"])
    labels, scores = ProposalStore(tmp_path).read("photo")
    assert labels[:, 0, 0].tolist() == [2, 7, 10]
    assert np.isnan(scores).all()
    assert ProposalStore(tmp_path).path("photo", 2).name == "10.png"


def test_unknown_image_and_empty_folder_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    store = ProposalStore(tmp_path)
    for name in ("empty", "absent"):
        with pytest.raises(DatasetError, match=rf"{name}: holds no proposal"):
            store.read(name)
    with pytest.raises(DatasetError, match="bare image name"):
        store.read("../absent")
    with pytest.raises(DatasetError, match="at least one"):
        store.write("none", [])


def test_bad_files_are_named(tmp_path):
    store = ProposalStore(tmp_path)
    bring(tmp_path / "sizes", ["0"])
    bring(tmp_path / "sizes", ["1"], shape=(4, 7))
    with pytest.raises(DatasetError, match=r"1\.png: size \(4, 7\) differs from \(4, 6\)"):
        store.read("sizes")
    bring(tmp_path / "odd", ["0"])
    (tmp_path / "odd" / "0.png").rename(tmp_path / "odd" / "best.png")
    with pytest.raises(DatasetError, match=r"best\.png is not a number"):
        store.read("odd")
    write_labels(tmp_path / "void" / "00.png", np.full((4, 6), 255))
    with pytest.raises(DatasetError, match=r"00\.png: holds void \(255\), which only the truth may"):
        store.read("void")
    bring(tmp_path / "range", ["0"])
    with pytest.raises(DatasetError, match="no proposal 1 of 1"):
        store.path("range", 1)
    with pytest.raises(DatasetError, match="proposal 1 of x: size"):
        store.write("x", [proposals(1)[0], proposals(1, shape=(2, 2))[0]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1.0]", "a list with 2 entries"),
        ('{"a": 1}', "a list with 2 entries"),
        ("[1.0,", "is damaged"),
        ("", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("[1.0, null]", "null is not a score; give 2 numbers"),
        ("[true, 1.0]", "true is not a score"),
        ('["1.0", 1.0]', '"1.0" is not a score'),
        ("[1.0, [2.0]]", r"\[2.0\] is not a score"),
        ("[1.0, -Infinity]", "-Infinity is not a score"),
        ("[1e999, 1.0]", "Infinity is not a score"),
        (f"[1.0, {10**400}]", "0+ is not a score"),
    ],
)
def test_bad_scores_are_named(tmp_path, text, words):
    bring(tmp_path / "photo", ["0", "1"])
    (tmp_path / "photo" / "scores.json").write_text(text)
    with pytest.raises(DatasetError, match=rf"photo/scores\.json: .*{words}"):
        ProposalStore(tmp_path).read("photo")


@pytest.mark.parametrize("call", ["open", "iterdir"])
def test_what_the_system_refuses_is_no_damage(tmp_path, monkeypatch, call):
    bring(tmp_path / "photo", ["0", "1"])

    def refuse(path, *_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    monkeypatch.setattr(Path, call, refuse)
    with pytest.raises(DatasetError, match=rf"photo.*: cannot be read: {os.strerror(errno.EMFILE)}; raise the limit"):
        ProposalStore(tmp_path).read("photo")


def test_scores_may_be_whole_numbers_or_unknown(tmp_path):
    bring(tmp_path / "photo", ["0", "1", "2"])
    (tmp_path / "photo" / "scores.json").write_text("[3, NaN, -0.5]")
    np.testing.assert_array_equal(ProposalStore(tmp_path).read("photo")[1], [3, np.nan, -0.5])


def test_proposals_are_read_as_masks_are(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [1, 1]], np.uint8))
    for name, colours in (("other", [250, 50, 83, 0, 0, 0]), ("rebuilt", palette()[[0, 8]].ravel().tolist())):
        image.putpalette(colours)
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "00.png")
    with pytest.raises(DatasetError, match=r"other/00\.png: label 0 is coloured and label 1 black"):
        ProposalStore(tmp_path).read("other")
    np.testing.assert_array_equal(ProposalStore(tmp_path).read("rebuilt")[0], [[[0, 8], [8, 8]]])


def test_own_classes_have_their_own_colours_and_numbers(tmp_path):
    store, labels = ProposalStore(tmp_path, Classes(("background", "weed"), ((0, 0, 0), (1, 2, 3)))), np.eye(4)
    pasted = PastedSegments(np.array([2]), np.array([0.5]), np.array([4]))
    proposal = Proposal(labels.astype(np.uint8), 0.0, np.zeros(0, np.int64), pasted)
    store.write("one", [proposal])
    with Image.open(tmp_path / "one/00.png") as image:
        assert image.getpalette()[3:6] == [1, 2, 3]
    with pytest.raises(DatasetError, match=r"class 2 is not in 1\.\.1"):
        store.read_segments("one")
    with pytest.raises(DatasetError, match=r"7 is not a class \(0\.\.1\)"):
        store.write("two", [replace(proposal, labels=np.full((4, 4), 7))])


def test_void_is_refused_before_it_is_written(tmp_path):
    first, second = proposals(2)
    second = replace(second, labels=np.full(second.labels.shape, 255, np.uint8))
    with pytest.raises(DatasetError, match=r"proposal 1 of one: holds void \(255\)"):
        ProposalStore(tmp_path).write("one", [first, second])
    assert list(tmp_path.iterdir()) == []


def test_an_infinite_score_is_refused_before_it_is_written(tmp_path):
    first, second = proposals(2)
    with pytest.raises(DatasetError, match="one: has an infinite score"):
        ProposalStore(tmp_path).write("one", [first, replace(second, score=-np.inf)])
    assert list(tmp_path.iterdir()) == []


def test_as_many_classes_as_a_label_map_holds_come_back(tmp_path):
    store = ProposalStore(tmp_path, Classes(tuple(f"class {k}" for k in range(255))))
    labels = np.arange(255, dtype=np.uint8).reshape(5, 51)
    store.write("one", [Proposal(labels, 0.0, np.zeros(0, np.int64))])
    np.testing.assert_array_equal(store.read("one")[0], labels[None])


def test_pasted_segments_come_back_and_may_be_unknown(tmp_path):
    store, (first, second, third) = ProposalStore(tmp_path), proposals(3)
    pasted = PastedSegments(np.array([15, 8]), np.array([0.1 + 0.2, -1e-9]), np.array([12, 0]))
    none = PastedSegments(*(np.zeros(0, kind) for kind in (np.int64, np.float32, np.int64)))
    store.write("one", [replace(first, segments=pasted), second, replace(third, segments=none)])
    back = store.read_segments("one")
    assert back[1] is None
    for given, read in ((pasted, back[0]), (none, back[2])):
        for name, kind in (("classes", np.int64), ("scores", np.float64), ("pixels", np.int64)):
            np.testing.assert_array_equal(getattr(read, name), getattr(given, name))
            assert getattr(read, name).dtype == kind
    store.write("one", proposals(2))
    assert not (tmp_path / "one" / "segments.json").exists()
    assert store.read_segments("one") == [None, None]
    bring(tmp_path / "photo", ["2", "10", "07"])
    assert store.read_segments("photo") == [None] * 3
    with pytest.raises(DatasetError, match="holds no proposal"):
        store.read_segments("absent")


SEGMENT = {"classes": [1, 2], "scores": [0.5, -2], "pixels": [20, 4]}  # of an image of 24 pixels


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[null,", "is damaged"),
        ("[null]", "a list with 2 entries"),
        ("{}", "a list with 2 entries"),
        ("[null, [1]]", "entry 1 is neither"),
        ("[3, null]", "entry 0 is neither"),
        ([], "entry 1 is neither"),
        ({"pixels": None}, "entry 1 is neither"),
        ({"pixels": []}, "2 classes, 2 scores, 0 pixels"),
        ({"pixels": 3}, "entry 1 is neither"),
        ({"classes": ["cat", 2]}, 'class "cat" is not in 1..20'),
        ({"classes": [1.5, 2]}, "class 1.5 is not"),
        ({"classes": [0, 2]}, "class 0 is not"),
        ({"classes": [1, 21]}, "class 21 is not"),
        ({"classes": [True, 2]}, "class true is not"),
        ({"scores": [float("nan"), 1]}, "score NaN is not a finite"),
        ({"scores": [1, float("inf")]}, "score Infinity is not a finite"),
        ({"scores": [1, None]}, "score null is not"),
        ({"scores": ["1", 1]}, 'score "1" is not'),
        ({"scores": [10**400, 1]}, "is not a finite"),
        ({"pixels": [-1, 4]}, "-1 is not a number of pixels"),
        ({"pixels": [1.0, 4]}, "1.0 is not a number of pixels"),
        ({"pixels": [20, 5]}, "25 pixels of an image of 24"),
    ],
)
def test_bad_segments_are_named(tmp_path, content, words):
    bring(tmp_path / "photo", ["0", "1"])
    path = tmp_path / "photo" / "segments.json"
    path.write_text(json.dumps([None, SEGMENT]))
    assert ProposalStore(tmp_path).read_segments("photo")[1].pixels.tolist() == [20, 4]
    if not isinstance(content, str):
        content = json.dumps([None, {**SEGMENT, **content} if content else content])
    path.write_text(content)
    with pytest.raises(DatasetError, match=rf"photo/segments\.json: .*{words}"):
        ProposalStore(tmp_path).read_segments("photo")
