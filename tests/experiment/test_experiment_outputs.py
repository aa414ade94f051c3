"""What the commands on a run write: never over an input, never into a finished run, and only once it is checked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tinysegrank.cli import app
from tinysegrank.errors import OutputError
from tinysegrank.experiment import Silent, run_experiment
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.segmenter import Segmenter
from tinysegrank.voc import make_toy_voc, read_labels


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def state(*folders):
    """Names, sizes and times of all files and folders: a file that was made and removed changes its folder's time."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "pictures" / "photo.png"
    path.parent.mkdir()
    Image.effect_noise((30, 20), 60).convert("RGB").save(path)
    return path


@pytest.fixture
def no_labelling(monkeypatch):
    def label(*arguments, **options):
        raise AssertionError("a photograph is labelled")

    monkeypatch.setattr(Segmenter, "__call__", label)


def test_a_finished_run_is_only_read(tmp_path, tiny_run, photo):
    voc = Path(tiny_run.settings.data.voc)
    before = state(tiny_run.path, voc)
    run_experiment(tiny_run.path, tiny_run.settings, jobs=1, progress=Silent())
    make_toy_voc(voc, train=10, val=6, seed=5)
    for arguments in (
        ("predict", photo, "--run", tiny_run.path, "--out", tmp_path / "out"),
        ("evidence", tiny_run.path),
        ("report", tiny_run.path, "--out", tmp_path / "report.html"),
    ):
        result = call(*arguments)
        assert result.exit_code == 0, result.output
    assert state(tiny_run.path, voc) == before


def test_evidence_that_is_made_is_only_read(tmp_path, tiny_run):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence"))
    made = call("evidence", path, "figure-2", "--jobs", 1)
    before = state(path)
    again = call("evidence", path, "figure-2", "--jobs", 1)
    assert (made.exit_code, again.exit_code) == (0, 0), again.output
    assert "figure-2 kept" in again.output
    assert state(path) == before


def test_a_folder_that_cannot_be_locked_is_named(tmp_path):
    (tmp_path / "file").touch()
    with FolderLock(tmp_path / "file" / "run") as lock, pytest.raises(OutputError, match="run: cannot be written: "):
        lock.hold()


def test_results_go_beside_the_photograph_and_are_replaced_by_force_alone(photo, tiny_run):
    folder, before = photo.parent, photo.read_bytes()
    result = call("predict", photo, "--run", tiny_run.path, "--out", folder)
    assert result.exit_code == 0, result.output
    assert result.output.split()[-2:] == [str(folder / "photo.labels.png"), str(folder / "photo.overlay.png")]
    assert photo.read_bytes() == before
    labels = read_labels(folder / "photo.labels.png")
    (folder / "photo.labels.png").write_bytes(b"drawn by hand")
    result = call("predict", photo, "--run", tiny_run.path, "--out", folder)
    assert (
        result.exit_code == 1
        and "photo.labels.png: already exists; pass --force to replace it, --skip-existing to keep it, or"
        in result.stderr
    )
    assert (folder / "photo.labels.png").read_bytes() == b"drawn by hand"
    assert call("predict", photo, "--run", tiny_run.path, "--out", folder, "--force").exit_code == 0
    assert (read_labels(folder / "photo.labels.png") == labels).all()


@pytest.mark.parametrize(
    ("others", "out", "message"),
    [
        (["photo.labels.png"], ".", "photo.labels.png would replace photo.labels.png, an input; choose another --out"),
        (["Photo.Overlay.png"], ".", "photo.overlay.png would replace Photo.Overlay.png, an input"),
        (["photo.labels.png"], "link", "would replace photo.labels.png, an input"),
        (["photo.jpg"], "out", "photo.jpg: out/photo.labels.png is also the output of photo.png"),
        (["PHOTO.bmp"], "out", "PHOTO.bmp: out/PHOTO.labels.png is also the output of photo.png"),
        (["missing.png"], "out", "missing.png: cannot be read"),
        ([], "photo.png", "photo.png: cannot be written: Not a directory"),
        ([], "photo.png/out", "photo.png/out: cannot be written: Not a directory"),
    ],
)
def test_predict_refuses_before_it_labels(monkeypatch, photo, tiny_run, no_labelling, others, out, message):
    monkeypatch.chdir(photo.parent)
    for other in others:
        if other != "missing.png":
            Image.open(photo).save(other)
    Path("link").symlink_to(".")
    before = state(Path())
    result = call("predict", "photo.png", *others, "--run", tiny_run.path, "--out", out, "--force")
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())
    after = state(Path())
    assert {path: after[path] for path in before if path.is_file()} == {
        path: before[path] for path in before if path.is_file()
    }
    assert after.keys() == before.keys()


@pytest.mark.parametrize("name", ["run.toml", "report/oracle.png", "data/val.json", "picked", "report.html/x.html"])
def test_a_report_never_replaces_a_file_of_the_run(tmp_path, monkeypatch, tiny_run, name):
    path = tmp_path / "run"
    shutil.copytree(tiny_run.path, path, ignore=shutil.ignore_patterns("evidence", "features", "described"))
    (path / "report.html").write_text("<!DOCTYPE html>\n<title>Somebody else's</title>\n")
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    monkeypatch.setattr("tinysegrank.exporting.html_report.read_evidence", None)  # it is refused before any work
    for out in (path / name, path / "report.html"):
        result = call("report", path, "--out", out)
        assert result.exit_code == 1 and result.stderr.startswith(f"error: {out}: ")
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_a_report_replaces_a_report_through_a_link(tmp_path, tiny_run):
    link, file = tmp_path / "link.html", tmp_path / "file.html"
    link.symlink_to(file)
    for _ in range(2):
        result = call("report", tiny_run.path, "--out", link)
        assert result.exit_code == 0, result.output
    assert link.is_symlink() and file.read_text(encoding="utf-8").endswith("</html>")


@pytest.mark.parametrize("section", ["data.voc", "trunk.weights", "proposals.folder"])
def test_an_input_in_the_run_folder_is_refused(tmp_path, tiny_run, section):
    """Such as the run's own proposals: the stage would delete them before it reads them."""
    path = tmp_path / "run"
    (path / "proposals" / "val").mkdir(parents=True)
    shutil.copyfile(tiny_run.path / "run.toml", path / "run.toml")
    (tmp_path / "link").symlink_to(path / "proposals")
    part, key = section.split(".")
    settings = tiny_run.settings
    changed = replace(settings, **{part: replace(getattr(settings, part), **{key: str(tmp_path / "link" / "val")})})
    with pytest.raises(OutputError, match=f"run: holds {section}=.*proposals.val, which .* may delete; move it"):
        run_experiment(path, changed, jobs=1, progress=Silent(), update=True)
    assert (path / "proposals" / "val").is_dir()
