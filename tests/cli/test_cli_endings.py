"""However a command ends, it says so in a line: errors of the system, interrupts, terminals of few characters."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from tinysegrank.cli import app
from tinysegrank.errors import WorkerError
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.voc import VOCSegmentation, make_toy_voc, write_labels

pytestmark = pytest.mark.usefixtures("default_signals")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    make_toy_voc(root, train=2, val=1, seed=0)
    return root


@pytest.fixture(scope="module")
def labels(toy):
    split = VOCSegmentation(toy, "val")
    write_labels(toy / "labels" / f"{split.names[0]}.png", np.zeros_like(split.labels(0)))
    return toy / "labels"


def call(*arguments, charset="utf-8"):
    return CliRunner(charset=charset).invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("charset", ["latin-1", "cp437", "cp932", "ascii", "utf-8"])
def test_a_table_is_printed_on_any_terminal(tmp_path, toy, labels, charset):
    result = call("evaluate", labels, "--voc", toy, "--jobs", 1, "--csv", tmp_path / "t.csv", charset=charset)
    assert result.exit_code == 0, result.output
    assert b"background" in result.stdout_bytes  # and an en dash for classes that are nowhere
    assert (tmp_path / "t.csv").read_text().startswith("class,labels\nbackground,")


def test_a_name_of_any_bytes_is_written(tmp_path, toy, labels):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(labels, folder)
    result = call("evaluate", folder, "--voc", toy, "--jobs", 1, "--csv", tmp_path / "t.csv")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "t.csv").read_text().startswith("class,caf?\nbackground,")


@pytest.mark.parametrize("charset", ["ascii", "utf-8"])
def test_a_path_of_any_bytes_is_printed(tmp_path, charset):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    result = call("toyvoc", folder, "--train", 1, "--val", 1, "--jobs", 1, charset=charset)
    assert result.exit_code == 0, result.output
    assert b"caf?: 1 training and 1 validation scenes" in result.stdout_bytes
    assert len(VOCSegmentation(folder, "val")) == 1


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted; the scenes drawn are kept; resume with: tinysegrank toyvoc FOLDER"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            1,
            f"error: {os.strerror(errno.ENOSPC)}; fix this and repeat the command: finished work is kept",
        ),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), b"a/b"),
            1,
            f"error: a/b: {os.strerror(errno.EACCES)}; fix this and repeat the command: finished work is kept",
        ),
        (
            MemoryError("Unable to allocate 9 GiB"),
            1,
            "error: out of memory (Unable to allocate 9 GiB); repeat the command with fewer --jobs or smaller batches",
        ),
        (
            type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory.\nSee the documentation"),  # torch's
            1,
            "error: out of memory (CUDA out of memory.); repeat the command with fewer --jobs or smaller batches",
        ),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),  # JAX's
            1,
            "error: out of memory (RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.); repeat the command with "
            "fewer --jobs or smaller batches",
        ),
        (WorkerError("a worker process was killed"), 1, "error: a worker process was killed"),
        (BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), 1, ""),  # nobody reads any more
    ],
    ids=["interrupt", "disk", "permission", "memory", "torch", "JAX", "worker", "pipe"],
)
def test_what_stops_a_command_is_one_line(tmp_path, monkeypatch, error, code, message):
    def stop(*arguments, **options):
        raise error

    monkeypatch.setattr("tinysegrank.voc.make_toy_voc", stop)
    result = call("toyvoc", tmp_path / "toy")
    assert result.exit_code == code
    assert isinstance(result.exception, SystemExit)
    assert result.output.strip() == message.replace("FOLDER", str(tmp_path / "toy"))


def stop(*arguments, **options):
    raise KeyboardInterrupt


@pytest.fixture
def given_folders(tmp_path, monkeypatch):
    """Change to a folder with a run folder "a b" and a data set "voc", as far as commands look at once."""
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "run.toml").touch()
    (tmp_path / "voc" / "JPEGImages").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("verb", [["predict"], ["export", "labels"], ["export", "voc"], ["export", "proposals"]])
def test_an_interrupted_command_that_writes_many_files_skips_those_that_are_written(monkeypatch, given_folders, verb):
    monkeypatch.setattr("tinysegrank.cli.commands.find_photographs", stop)
    monkeypatch.setattr("tinysegrank.experiment.run_folder.read_run", stop)
    given = [*verb, "a b", *(["--run", "a b"] if verb == ["predict"] else [])]
    result, again = call(*given), f"tinysegrank {shlex.join(given)}"
    assert result.exit_code == 130
    assert result.stderr == f"interrupted; the files written are kept; resume with: {again} --skip-existing\n"
    assert call(*given, "--skip-existing").stderr == result.stderr
    assert call(*given, "--force").stderr.endswith(f"are kept; this begins again: {again} --force\n")


@pytest.mark.parametrize("verb", [["report"], ["verify"], ["export", "onnx"], ["export", "safetensors"]])
def test_an_interrupted_command_that_writes_one_file_begins_again(monkeypatch, given_folders, verb):
    monkeypatch.setattr("tinysegrank.experiment.run_folder.read_run", stop)
    for given in (["-q", *verb, "a b"], [*verb, "a b", "--quiet"]):
        again = f"tinysegrank {shlex.join(given)}"
        assert call(*given).stderr == f"interrupted; nothing is kept; this begins again: {again}\n"


def test_what_is_kept_of_a_run_is_said(monkeypatch, given_folders):
    monkeypatch.setattr("tinysegrank.cli.group.load_plugins", lambda: None)
    monkeypatch.setattr("tinysegrank.experiment.run_experiment", stop)
    result = call("run", "--voc", "voc", "--out", "runs/a", "--quiet")
    kept = "finished stages are kept, and what the present one has stored"
    assert result.stderr == f"interrupted; {kept}; resume with: tinysegrank run --voc voc --out runs/a --quiet\n"


@pytest.mark.parametrize("argument", ["--version", "--help", "doctor"])
def test_an_output_that_cannot_be_written_is_one_line(argument):
    with open("/dev/full", "w") if os.path.exists("/dev/full") else pytest.skip("there is no /dev/full") as full:  # noqa: PTH110, PTH123
        command = [sys.executable, "-m", "tinysegrank", argument]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {os.strerror(errno.ENOSPC)}; ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        (("evaluate", "LABELS", "--voc", "TOY", "--csv", "FOLDER"), "is a folder; give the name of a file"),
        (("evaluate", "LABELS", "--voc", "TOY", "--csv", "PHOTO"), "exists and was not written by this command"),
        (("evaluate", "LABELS", "--voc", "TOY", "--csv", "PHOTO/t.csv"), "it or a folder above it is a file"),
        (("demo", "--out", "PHOTO"), "photo.png: cannot be written: Not a directory"),
        (("demo", "--out", "FOLDER"), "folder: is not empty and holds no run.toml; choose another --out"),
        (("run", "--voc", "TOY", "--out", "PHOTO"), "photo.png: cannot be written: Not a directory"),
        (("toyvoc", "PHOTO"), "photo.png: is a file; give a folder"),
        (("toyvoc", "PHOTO/toy"), "photo.png/toy: cannot be written: Not a directory"),
    ],
)
def test_outputs_are_refused_before_any_work(tmp_path, monkeypatch, toy, labels, verb, message):
    def work(*arguments, **options):
        raise AssertionError("this is work")

    for name in ("experiment.evaluate_folder", "voc.toy.make.parallel_map", "experiment.protocol.execute"):
        monkeypatch.setattr(f"tinysegrank.{name}", work)
    folder, photo = tmp_path / "folder", tmp_path / "photo.png"
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    photo.write_bytes(b"\x89PNG a photograph")
    places = {"LABELS": labels, "TOY": toy, "FOLDER": folder, "PHOTO": photo, "PHOTO/t.csv": photo / "t.csv"}
    places["PHOTO/toy"] = photo / "toy"
    options = ("--experiment", "demo", "--set", "ranking.splits=2") if verb[0] == "run" else ()
    result = call(*(places.get(part, part) for part in verb), *options)
    assert result.exit_code == 1, result.output
    assert message in " ".join(result.stderr.split())
    assert photo.read_bytes() == b"\x89PNG a photograph"
    assert sorted(tmp_path.rglob("*")) == [folder, folder / "thesis.tex", photo]


def test_a_second_demo_is_refused_before_it_draws(tmp_path):
    with FolderLock(tmp_path / "run") as lock:
        lock.hold()
        result = call("demo", "--out", tmp_path / "run", "--jobs", 1)
    assert result.exit_code == 1
    assert f"process {os.getpid()} on" in result.stderr and not (tmp_path / "run-toyvoc").exists()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_ends_a_command_as_ctrl_c_does(tmp_path, monkeypatch, name, code):
    def stop(*arguments, **options):
        try:
            signal.raise_signal(signal.Signals[name])
        finally:
            signal.raise_signal(signal.Signals[name])  # a second one while the first is dealt with, as shells send it
            ended.append(True)

    ended, before = [], signal.getsignal(signal.Signals[name])
    monkeypatch.setattr("tinysegrank.voc.make_toy_voc", stop)
    result = call("toyvoc", tmp_path / "toy")
    assert (result.exit_code, ended) == (code, [True])
    by = "" if name == "SIGINT" else f" by {name}"
    command = f"tinysegrank toyvoc {tmp_path / 'toy'}"
    assert result.stderr == f"interrupted{by}; the scenes drawn are kept; resume with: {command}\n"
    assert signal.getsignal(signal.Signals[name]) is before


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), WorkerError("killed")])
def test_a_command_that_fails_after_its_terminal_was_closed_is_interrupted(tmp_path, monkeypatch, error):
    def stop(*arguments, **options):
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            raise error

    monkeypatch.setattr("tinysegrank.voc.make_toy_voc", stop)
    assert call("toyvoc", tmp_path / "toy").exit_code == 129


def test_a_signal_is_not_lost_in_a_destructor(tmp_path, monkeypatch):
    class Last:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def stop(*arguments, **options):
        Last()
        time.sleep(60)

    monkeypatch.setattr("tinysegrank.voc.make_toy_voc", stop)
    assert call("toyvoc", tmp_path / "toy").exit_code == 143


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_in_code_that_is_executed_as_text_gives_the_same_exit_code(name):
    script = f"""
        import signal, sys, tinysegrank.voc
        from tinysegrank.cli import app
        def stop(*arguments, **options):
            exec("signal.raise_signal(signal.{name})")
        tinysegrank.voc.make_toy_voc = stop
        app(["toyvoc", "toy"])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.Signals[name] and done.stderr.startswith("interrupted")


def test_signals_that_are_ignored_stay_so(tmp_path, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        monkeypatch.setattr("tinysegrank.voc.make_toy_voc", lambda *_, **__: signal.raise_signal(signal.SIGHUP))
        assert call("toyvoc", tmp_path / "toy").exit_code == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
