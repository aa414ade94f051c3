"""Stages are kept, resumed or made anew by what they were made from."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from tests.gpu.make_believe_cupy import installed
from tinysegrank import stamps
from tinysegrank.errors import CheckpointError, ConfigError, MemoryShortageError, TrainingError
from tinysegrank.experiment import Run, Settings, Shown, Silent, artifacts
from tinysegrank.experiment.folder_lock import FolderLock
from tinysegrank.experiment.run_folder import open_run, read_run
from tinysegrank.experiment.runner import Stage, execute
from tinysegrank.files import write_text
from tinysegrank.parallel import parallel_map

pytestmark = pytest.mark.slow


class Work:
    """A chain of three stages that counts how often each ran."""

    def __init__(self):
        self.ran, self.wrote = [], []
        self.outside = "as it was"
        self.first_content = "one"
        self.interrupt = False
        self.stages = (
            Stage("first", self.first, outside=lambda settings: self.outside),
            Stage("second", self.second, ("first",), lambda settings: settings.seed),
            Stage("third", self.third, ("second",)),
        )

    def first(self, run):
        self.ran.append("first")
        write_text(run.folder("first") / "result.txt", self.first_content)

    def second(self, run):
        self.ran.append("second")
        done = run.folder("second") / "half.txt"
        if self.interrupt:
            done.write_text("half")
            raise KeyboardInterrupt
        self.found = done.exists()

        write_text(run.folder("second") / "result.txt", f"two of {run.settings.seed}")

    def third(self, run):
        self.ran.append("third")
        for name in ("a.txt", "b/c.txt"):
            if not (run.folder("third") / name).is_file():
                write_text(run.folder("third") / name, name)
                self.wrote.append(name)


@pytest.fixture
def work():
    return Work()


def go(path, work, settings=None, *, update=False, keep_stale=False):
    work.ran, work.wrote = [], []
    with FolderLock(path) as lock:
        run = open_run(path, settings or Settings(), lock, jobs=1, progress=Silent(), update=update)
        execute(run, work.stages, lock, keep_stale=keep_stale)
    return work.ran


def test_a_training_that_diverges_names_its_stage_and_keeps_what_was_stored(tmp_path, work):
    def diverge(run):
        (run.folder("second") / "half.txt").write_text("a good checkpoint")
        raise TrainingError("the ce loss is nan at step 7")

    good, second = work.stages, work.stages[1]
    work.stages = (good[0], replace(second, work=diverge), good[2])
    with pytest.raises(TrainingError, match=r"^stage second: the ce loss is nan at step 7$"):
        go(tmp_path / "run", work)
    assert work.ran == ["first"] and (tmp_path / "run" / "second" / "half.txt").is_file()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        type("OutOfMemoryError", (MemoryError,), {})("Out of memory allocating 9 bytes (allocated so far: 1 byte)."),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory.\nSee the documentation"),
        RuntimeError("cudaErrorMemoryAllocation: out of memory"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
    ],
    ids=["host", "CuPy", "torch", "CUDA", "cuBLAS", "JAX"],
)
def test_a_shortage_of_memory_names_stage_batch_jobs_and_what_is_free(tmp_path, work, monkeypatch, error):
    def fail(run):
        raise error

    good, second = work.stages, work.stages[1]
    work.stages = (good[0], replace(second, work=fail, backend=True, batches=("trunk.chunk",)))
    monkeypatch.setenv("TINYSEGRANK_BACKEND", "cupy")
    with installed(), pytest.raises(MemoryShortageError) as caught:
        go(tmp_path / "run", work)
    said = str(error).partition("\n")[0]
    assert str(caught.value) == (
        f"stage second: out of memory ({said}) with --jobs 1 --set trunk.chunk=16, 8,192 MB of the device's memory are "
        f"free; resume with smaller numbers: tinysegrank run --voc '' --config {tmp_path}/run/run.toml --out "
        f"{tmp_path}/run"
    )


def test_another_error_of_a_stage_is_its_own(tmp_path, work):
    def fail(run):
        raise RuntimeError("a fault")

    work.stages = (replace(work.stages[0], work=fail),)
    with pytest.raises(RuntimeError, match=r"^a fault$"):
        go(tmp_path / "run", work)


def test_a_second_call_does_nothing(tmp_path, work):
    assert go(tmp_path / "run", work) == ["first", "second", "third"]
    assert go(tmp_path / "run", work) == []


def test_a_second_call_writes_nothing(tmp_path, work, monkeypatch):
    go(tmp_path / "run", work)
    for name in ("run_folder.write_text", "artifacts.write_json", "folder_lock.FileLock.acquire"):
        monkeypatch.setattr(f"tinysegrank.experiment.{name}", None)  # as on a disk that cannot be written to
    assert go(tmp_path / "run", work) == []


def test_a_run_without_a_finished_stage_takes_other_settings(tmp_path, work):
    def fail(run):
        raise ConfigError("a colour is of no class")

    good, changed = work.stages, replace(Settings(), seed=1)
    work.stages = (replace(good[0], work=fail),)
    with pytest.raises(ConfigError, match="a colour"):
        go(tmp_path / "run", work)
    work.stages = good
    assert go(tmp_path / "run", work, changed) == ["first", "second", "third"]


def test_a_changed_setting_redoes_what_depends_on_it(tmp_path, work):
    go(tmp_path / "run", work)
    changed = replace(Settings(), seed=1)
    with pytest.raises(ConfigError, match="made with another configuration: seed was 0, is now 1"):
        go(tmp_path / "run", work, changed)
    assert go(tmp_path / "run", work, changed, update=True) == ["second", "third"]
    assert go(tmp_path / "run", work, changed) == []


def test_a_changed_input_redoes_what_depends_on_it(tmp_path, work):
    go(tmp_path / "run", work)
    work.outside, work.first_content = "another file", "another content"
    assert go(tmp_path / "run", work) == ["first", "second"]  # the second came out the same, so the third is kept


def test_a_stage_that_comes_out_the_same_keeps_later_ones(tmp_path, work):
    go(tmp_path / "run", work)
    work.outside = "the same content with another date"
    assert go(tmp_path / "run", work) == ["first"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "deleted", "exchanged", "folder"])
@pytest.mark.parametrize("name", ["a.txt", "b/c.txt"])
def test_a_damaged_file_is_replaced_and_nothing_else(tmp_path, work, damage, name):
    go(tmp_path / "run", work)
    file = tmp_path / "run" / "third" / name
    whole = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "deleted":
        file.write_bytes(
            {"cut": whole[:-1], "flipped": bytes([whole[0] ^ 1]) + whole[1:], "exchanged": b"x.txt"}[damage]
        )
    assert go(tmp_path / "run", work) == ["third"]
    assert work.wrote == [name]
    assert file.read_bytes() == whole
    assert go(tmp_path / "run", work) == []


def test_a_copied_run_is_as_good_as_the_original(tmp_path, work):
    go(tmp_path / "run", work)
    shutil.copytree(tmp_path / "run", tmp_path / "copy", copy_function=shutil.copyfile)  # with new times
    assert go(tmp_path / "copy", work) == []


@pytest.fixture
def reads(monkeypatch):
    """The files that are read to check them; a file is forgotten when the list is cleared, as by another process."""

    class Read(list):
        def clear(self):
            super().clear()
            stamps._digest_of.cache_clear()

    found, digest = Read(), stamps.file_digest

    def noted(path):
        found.append(path.name)
        return digest(path)

    monkeypatch.setattr(stamps, "file_digest", noted)
    return found


FILES = ["a.txt", "c.txt", "result.txt", "result.txt"]


@pytest.fixture
def copied(tmp_path, work, reads):
    """A finished run whose files have other times than its stamps say."""
    go(tmp_path / "run", work)
    shutil.copytree(tmp_path / "run", tmp_path / "copy", copy_function=shutil.copyfile)
    for path in (tmp_path / "copy").rglob("*.txt"):
        os.utime(path, (1, 1))
    reads.clear()
    return tmp_path / "copy"


@pytest.mark.parametrize("keep_stale", [False, True])
def test_a_copied_run_is_read_once(copied, work, reads, monkeypatch, keep_stale):
    if keep_stale:
        monkeypatch.setattr(artifacts, "code_of", lambda module: "other")
    assert go(copied, work, keep_stale=keep_stale) == []
    assert sorted(reads) == FILES
    reads.clear()
    assert go(copied, work, keep_stale=keep_stale) == [] == reads


def test_a_copied_run_is_read_once_by_what_needs_it(copied, reads):
    run = read_run(copied, jobs=1, progress=Silent())
    run.require(["first", "third"], "a test")
    assert sorted(reads) == FILES[:3]
    reads.clear()
    run.require(["first", "third"], "a test")
    assert reads == []


@pytest.mark.parametrize("reason", ["locked", "read-only"])
def test_a_copied_run_that_cannot_be_written_to_is_read_once_by_a_process(copied, work, reads, monkeypatch, reason):
    def refuse(*arguments):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with FolderLock(copied) as lock:
        if reason == "locked":
            lock.hold()
        else:
            monkeypatch.setattr("tinysegrank.experiment.folder_lock.FileLock.acquire", refuse)
        before = {path: path.read_bytes() for path in copied.rglob("stamp.json")}
        for _ in range(2):
            assert go(copied, work) == []
            read_run(copied, jobs=1, progress=Silent()).require(["first", "second", "third"], "a test")
    assert sorted(reads) == FILES
    assert {path: path.read_bytes() for path in copied.rglob("stamp.json")} == before


def test_a_copied_run_with_a_changed_file_keeps_no_time_of_it(copied, work, reads):
    (copied / "third" / "a.txt").write_text("x.txt")
    with pytest.raises(CheckpointError, match=r"third/a\.txt: is missing or changed"):
        read_run(copied, jobs=1, progress=Silent()).require(["third"], "a test")
    assert go(copied, work) == ["third"]
    assert work.wrote == ["a.txt"]


def test_results_of_other_code_are_made_anew_or_kept_on_request(tmp_path, work, monkeypatch):
    go(tmp_path / "run", work)
    monkeypatch.setattr(artifacts, "code_of", lambda module: "other")
    assert go(tmp_path / "run", work, keep_stale=True) == []
    assert go(tmp_path / "run", work) == ["first", "second", "third"]
    assert go(tmp_path / "run", work) == []


def test_a_stage_that_is_not_used_is_not_run(tmp_path, work):
    work.stages = (work.stages[0], replace(work.stages[1], used=lambda settings: settings.seed > 0), work.stages[2])
    assert go(tmp_path / "run", work) == ["first", "third"]
    assert not (tmp_path / "run" / "second").exists()
    assert go(tmp_path / "run", work, replace(Settings(), seed=1), update=True) == ["second", "third"]


def test_a_second_process_is_refused_by_name(tmp_path, work, monkeypatch):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    holder = (
        "import sys, time; from pathlib import Path; from tinysegrank.experiment.folder_lock import FolderLock\n"
        "with FolderLock(Path(sys.argv[1])) as lock: lock.hold(); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder, tmp_path / "run"], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"process {other.pid} on {socket.gethostname()} is at work on this run"):
            go(tmp_path / "run", work)
        other.kill()
    assert not waited
    half = tmp_path / "run" / ".half.1.tmp" / "half"
    half.parent.mkdir()
    half.with_name(".half.2.tmp").write_text("half")
    assert go(tmp_path / "run", work) == ["first", "second", "third"]
    assert waited == [2.0]  # for worker processes of the one that was killed
    assert not half.parent.exists()
    waited.clear()
    assert go(tmp_path / "run", work, replace(Settings(), seed=1), update=True) == ["second", "third"]
    assert not waited


def sleep(seconds):
    time.sleep(seconds)


def test_workers_end_before_the_lock_is_released(tmp_path):
    def work():
        results = parallel_map(sleep, [0, 600, 600], jobs=2)
        next(results)
        raise KeyError("in a frame that holds the results")

    with pytest.raises(KeyError) as error, FolderLock(tmp_path):
        work()
    assert error.tb and multiprocessing.active_children() == []


def test_a_file_left_by_a_killed_process_goes(tmp_path, work):
    work.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "run", work)
    (tmp_path / "run" / "second" / ".half.123.tmp").write_text("half")
    work.interrupt = False
    go(tmp_path / "run", work)
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_a_run_sent_to_a_worker_leaves_its_progress_behind(tmp_path):
    run = Run(tmp_path, Settings(), 1, Shown(None))
    there = pickle.loads(pickle.dumps(run))
    assert (there.path, there.settings) == (run.path, run.settings)
    assert isinstance(there.progress, Silent)


def test_an_interrupted_stage_finds_its_files(tmp_path, work):
    work.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "run", work)
    work.interrupt = False
    assert go(tmp_path / "run", work) == ["second", "third"]
    assert work.found


def test_a_stage_made_from_something_else_starts_empty(tmp_path, work):
    work.interrupt = True
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "run", work)
    work.interrupt = False
    assert go(tmp_path / "run", work, replace(Settings(), seed=1), update=True) == ["second", "third"]
    assert not work.found


def test_a_damaged_stamp_is_no_stamp(tmp_path, work):
    go(tmp_path / "run", work)
    (tmp_path / "run" / "third" / "stamp.json").write_text("{")
    assert go(tmp_path / "run", work) == ["third"]


def test_a_folder_of_something_else_is_left_alone(tmp_path, work):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match=r"is not empty and holds no run\.toml"):
        go(tmp_path, work)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_folder_with_unknown_settings_is_named(tmp_path, work):
    (tmp_path / "run.toml").write_text("sead = 3\n")
    with pytest.raises(ConfigError, match="unknown key 'sead'"):
        go(tmp_path, work)


def test_an_error_leaves_no_temporary_file_of_workers_that_were_ended(tmp_path):
    with pytest.raises(KeyboardInterrupt), FolderLock(tmp_path) as lock:
        lock.hold()
        (tmp_path / "proposals" / ".image.5.tmp").mkdir(parents=True)
        raise KeyboardInterrupt
    assert list(tmp_path.rglob(".*.tmp")) == []
    assert (tmp_path / "proposals").is_dir()
