"""What is to be written is looked at first: nothing is made, and nothing that is there is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinysegrank.errors import OutputError
from tinysegrank.outputs import check_file, check_folder, check_results


def everything(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("new.csv", ""),
        ("new/newer/table.csv", ""),
        ("ours.csv", ""),
        ("empty.csv", ""),
        ("link.csv", ""),
        ("photo.csv", "photo.csv: exists and was not written by this command; choose another --csv"),
        ("to_photo.csv", "to_photo.csv: exists and was not written by this command; choose another --csv"),
        ("folder", "folder: is a folder; give the name of a file"),
        (
            "photo.csv/table.csv",
            "photo.csv/table.csv: cannot be written: Not a directory; it or a folder above it is a file",
        ),
        ("n" * 300, f"{'n' * 300}: cannot be written: {os.strerror(errno.ENAMETOOLONG)}; shorten the name"),
    ],
)
def test_a_file(tmp_path, name, refused):
    (tmp_path / "folder").mkdir()
    (tmp_path / "ours.csv").write_text("class,labels\n")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "photo.csv").write_bytes(b"\xff\xd8\xff a photograph")
    (tmp_path / "link.csv").symlink_to("ours.csv")
    (tmp_path / "to_photo.csv").symlink_to("photo.csv")
    before = everything(tmp_path)
    if refused:
        with pytest.raises(OutputError) as error:
            check_file(tmp_path / name, option="--csv", begins=b"class,")
        assert str(error.value) == f"{tmp_path}/{refused}"
    else:
        check_file(tmp_path / name, option="--csv", begins=b"class,")
    assert everything(tmp_path) == before


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    check_file(tmp_path / "pipe", option="--csv", begins=b"class,")  # it would wait for a reader


@pytest.mark.parametrize("number", [1, 2], ids=["output", "error"])
def test_the_file_that_is_printed_to_is_refused(tmp_path, number):
    script = "from tinysegrank.outputs import check_file; check_file('table.csv', option='--csv')"
    with (tmp_path / "table.csv").open("w") as stream:
        streams = {1: "stdout", 2: "stderr"}
        options = {"stderr": subprocess.PIPE, streams[number]: stream}
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False, **options)
    said = done.stderr or (tmp_path / "table.csv").read_bytes()
    assert done.returncode == 1
    assert b"table.csv: is where this command prints to; choose another --csv" in said


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_takes_no_file(tmp_path, monkeypatch, number):
    def refuse(path, flags, *mode, **options):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(number, os.strerror(number), path)
        return opened(path, flags, *mode, **options)

    opened = os.open

    check_folder(tmp_path / "new" / "newer", named="new/newer")
    assert not list(tmp_path.iterdir())
    (tmp_path / "link").symlink_to("missing")
    check_folder(tmp_path / "link", named="link")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=f"^new/newer: cannot be written: {os.strerror(number)}; "):
        check_folder(tmp_path / "new" / "newer", named="new/newer")


def results(*pairs, replace=False):
    check_results([(Path(source), Path(result)) for source, result in pairs], option="--out", replace=replace)


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("result", ["photo.png", "PHOTO.png", "sub/../photo.png", "link/photo.png", "soft.png"])
def test_a_result_never_replaces_an_input(tmp_path, monkeypatch, result, replace):
    monkeypatch.chdir(tmp_path)
    Path("photo.png").write_text("precious")
    Path("sub").mkdir()
    Path("link").symlink_to(".")
    Path("soft.png").symlink_to("photo.png")
    with pytest.raises(OutputError, match=r"other\.png: .* would replace photo\.png, an input; choose another --out"):
        results(("other.png", result), ("photo.png", "new.png"), replace=replace)


def test_an_input_is_recognised_by_its_name_without_accents_spelt_alike(tmp_path):
    one, two = tmp_path / "caf\u00e9.png", tmp_path / "cafe\u0301.png"
    with pytest.raises(OutputError, match="would replace"):
        results((one, two))


@pytest.mark.parametrize(("one", "two"), [("a.png", "a.png"), ("a.png", "A.PNG"), ("stra\u00dfe.png", "STRASSE.png")])
def test_two_results_never_have_one_name(tmp_path, one, two):
    with pytest.raises(OutputError, match=r"second\.jpg: .* is also the output of first\.jpg; give each its own --out"):
        results(("first.jpg", tmp_path / one), ("second.jpg", tmp_path / two), replace=True)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_replaced_only_when_asked(tmp_path):
    (tmp_path / "a.png").write_text("an earlier one")
    pairs = (("a.jpg", tmp_path / "a.png"), ("b.jpg", tmp_path / "b.png"))
    with pytest.raises(OutputError, match=r"a\.png: already exists; pass --force to replace it, or choose another"):
        results(*pairs)
    results(*pairs, replace=True)
    assert everything(tmp_path) == {tmp_path / "a.png": b"an earlier one"}


def test_the_folder_of_the_results_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: cannot be written: Not a directory"):
        results(("a.jpg", tmp_path / "file" / "a.png"))


@pytest.mark.parametrize("place", ["new.png", "inner/new.png", "there.png"])
def test_nothing_is_written_among_the_results_of_a_run(tmp_path, place):
    """The run would delete it, or count its own file as damaged."""
    stage = tmp_path / "run" / "picked"
    (stage / "inner").mkdir(parents=True)
    for name in ("stamp.json", "there.png"):
        (stage / name).write_text("of the run")
    (tmp_path / "photo.png").touch()
    (tmp_path / "link").symlink_to(stage)
    before = everything(tmp_path)
    for folder in (stage, tmp_path / "link"):
        said = f"^{folder / place}: is in {stage}, the results of a run; choose another --out"
        with pytest.raises(OutputError, match=said):
            check_results([(tmp_path / "photo.png", folder / place)], option="--out", replace=True)
        with pytest.raises(OutputError, match=said):
            check_file(folder / place, option="--out")
    check_results([(tmp_path / "photo.png", tmp_path / "run" / "own" / place)], option="--out", replace=True)
    assert everything(tmp_path) == before
