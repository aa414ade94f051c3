"""Work on a Dask cluster of two worker processes gives the same bits as work here, also when workers are killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed", reason="distributed is not installed; run `pip install '.[dask]'`")

from distributed import Client
from typer.testing import CliRunner

from tests.conftest import tiny_settings
from tinysegrank import losses
from tinysegrank.cli import app
from tinysegrank.cluster import cluster
from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.evidence import collect_evidence
from tinysegrank.experiment import Run, Silent, evaluate_folder, run_experiment
from tinysegrank.experiment.settings import Settings
from tinysegrank.files import atomic_write, read_json
from tinysegrank.parallel import parallel_map
from tinysegrank.voc import VOCSegmentation, make_toy_voc, write_labels

pytestmark = pytest.mark.slow

PATIENCE = 300  # seconds, for a busy machine; nothing waits so long on one that is not


class Processes:
    """A scheduler and its workers, each a process of its own on the loopback; workers share no folder but by path."""

    def __init__(self, folder: Path, *, deaths: int = 3, threads: int = 1) -> None:
        self.folder, self.file, self.deaths, self.threads = folder, folder / "scheduler.json", deaths, str(threads)
        self.started: list[subprocess.Popen[bytes]] = []
        (folder / "tests").symlink_to(Path(__file__).parent)  # for workers to import, without the sources beside it
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(self.file))
        while not self.file.exists():
            time.sleep(0.05)
            assert self.scheduler.poll() is None
        self.address = read_json(self.file)["address"]

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--host", "127.0.0.1", "--no-dashboard"]
        quiet = {"DASK_LOGGING__DISTRIBUTED": "critical", "OPENBLAS_NUM_THREADS": "1"}
        quiet["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = str(self.deaths)
        environment = {**os.environ, **quiet}
        environment["PYTHONPATH"] = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        environment.pop("TINYSEGRANK_BACKEND", None)
        with (self.folder / f"{what}.log").open("ab") as log:
            self.started.append(
                subprocess.Popen([*command, *options], cwd=self.folder, env=environment, stdout=log, stderr=log)
            )
        return self.started[-1]

    def have(self, workers: int) -> str:
        """Start workers until there are so many, and wait for them; returns the scheduler's address."""
        for _ in range(workers - len(self.workers())):
            self._start("worker", self.address, "--no-nanny", "--nthreads", self.threads, "--memory-limit", "0")
        with Client(self.address, timeout=PATIENCE, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=PATIENCE)
        return self.address

    def workers(self) -> list[subprocess.Popen[bytes]]:
        return [process for process in self.started if process is not self.scheduler and process.poll() is None]

    def stop(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    made = Processes(tmp_path_factory.mktemp("dask"))
    yield made
    made.stop()


@pytest.fixture
def address(processes) -> str:
    return processes.have(2)


# What is called on the workers ---------------------------------------------------------------------------------------


def process_of(item: int) -> tuple[int, int]:
    return item, os.getpid()


def threads_of(item: int) -> tuple[int, set[int], str]:
    """Of numba, of BLAS, and what joblib would take inside a task."""
    from joblib import Parallel
    from numba import get_num_threads
    from threadpoolctl import threadpool_info

    blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    return get_num_threads(), blas, type(Parallel()._backend).__name__


def wait_for(path: Path | None) -> str:
    last = time.monotonic() + PATIENCE
    while path is not None and not path.exists():
        assert time.monotonic() < last, f"{path} did not come"
        time.sleep(0.01)
    return "" if path is None else path.name


def write_and_die_once(path: Path) -> int:
    """Write a file; the first process that writes 2.txt is killed in the middle of it."""
    begun = path.with_suffix(".begun")
    with atomic_write(path) as stream:
        stream.write(b"first half, ")
        stream.flush()
        if path.name == "2.txt" and not begun.exists():
            begun.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        stream.write(b"second half")
    return os.getpid()


def die(item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(item: int) -> int:
    if item == 3:
        raise DatasetError("image 3: is damaged")
    return item


def counts_of(seed: int) -> losses.CorpusCounts:
    return losses.CorpusCounts(4).update(*batch(seed))


def batch(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.dirichlet(np.ones(4), size=(3, 5, 5)).transpose(0, 3, 1, 2)
    return rng.normal(size=(3, 4, 5, 5)), target, rng.random((3, 5, 5))


# Tests ---------------------------------------------------------------------------------------------------------------


def test_results_come_in_order_from_workers(address):
    with cluster(address):
        results = list(parallel_map(process_of, range(40), jobs=1))
        here = list(parallel_map(process_of, range(3), jobs=1, on_cluster=False))
    assert [item for item, _ in results] == list(range(40))
    assert os.getpid() not in {process for _, process in results}
    assert here == [process_of(item) for item in range(3)]
    assert list(parallel_map(process_of, range(3), jobs=1)) == here  # outside the block nothing is different


def test_a_task_has_one_thread_and_shares_its_work_with_nobody(address):
    with cluster(address):
        (found,) = parallel_map(threads_of, [0], jobs=1)
    assert found == (1, {1}, "SequentialBackend")


def test_a_result_is_given_before_the_next_is_there(address, tmp_path):
    with cluster(address):
        results = parallel_map(wait_for, [None, tmp_path / "seen"], jobs=1)
        assert next(results) == ""
        (tmp_path / "seen").touch()
        assert next(results) == "seen"


def test_an_error_on_a_worker_is_the_same_error_here(address):
    with cluster(address), pytest.raises(DatasetError, match="image 3: is damaged"):
        list(parallel_map(refuse, range(8), jobs=1))
    with cluster(address):  # the workers are none the worse for it
        assert list(parallel_map(refuse, range(3), jobs=1)) == [0, 1, 2]


def test_counts_of_workers_merge_to_those_of_the_corpus(address, tmp_path):
    def total(parts):
        merged = losses.CorpusCounts(4)
        for part in parts:
            merged.merge(part)
        return merged

    with cluster(address):
        spread = total(parallel_map(counts_of, range(6), jobs=1))
    here = total(map(counts_of, range(6)))
    for name, value in vars(here).items():
        np.testing.assert_array_equal(vars(spread)[name], value, err_msg=name)
    whole = [np.concatenate(arrays) for arrays in zip(*map(batch, range(6)), strict=True)]
    _, rows = losses.uoi(*batch(2), counts=spread)
    np.testing.assert_allclose(rows, losses.uoi(*whole)[1][6:9], rtol=1e-10)


def test_a_worker_killed_in_the_middle_of_a_file(processes, tmp_path):
    paths = [tmp_path / f"{i}.txt" for i in range(6)]
    with cluster(processes.have(2)):
        wrote = list(parallel_map(write_and_die_once, paths, jobs=1))
        assert len(processes.workers()) == 1
        assert os.getpid() not in wrote
        # a single worker is still a worker
        assert {process for _, process in parallel_map(process_of, range(4), jobs=1)} == {processes.workers()[0].pid}
    for path in paths:
        assert path.read_bytes() == b"first half, second half"
    left = set(tmp_path.iterdir()) - {*paths, tmp_path / "2.begun"}
    assert all(path.name.startswith(".") and path.suffix == ".tmp" for path in left)  # on Linux there are none


# The whole experiment ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("toy")
    make_toy_voc(root, train=10, val=4, seed=2, size=(60, 90))
    return root


def contents(path: Path) -> dict[str, bytes]:
    kinds = (".npy", ".npz", ".png", ".csv", ".safetensors")
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.suffix in kinds}


def test_a_run_with_a_worker_killed_equals_a_run_here(processes, toy, tmp_path, monkeypatch):
    killed = []

    def kill_a_worker_that_trains() -> None:
        while not any((tmp_path / "spread" / "training").glob("*/step.txt")):
            time.sleep(0.005)
        killed.append(processes.workers()[0])
        killed[0].kill()

    pieces = {"names": ("from-scratch", "figure-6"), "seeds": (0,), "jobs": 1, "progress": Silent()}
    here = run_experiment(tmp_path / "here", tiny_settings(toy), jobs=1, progress=Silent(), until="evaluation")
    collect_evidence(here.path, **pieces)
    watcher = threading.Thread(target=kill_a_worker_that_trains, daemon=True)
    watcher.start()
    monkeypatch.chdir(tmp_path)  # a relative folder means the same to the workers
    with cluster(processes.have(2)):
        spread = run_experiment(Path("spread"), tiny_settings(toy), jobs=1, progress=Silent(), until="evaluation")
        collect_evidence(spread.path, **pieces)
    assert killed, "the training was not seen"
    assert killed[0].wait() == -signal.SIGKILL
    assert contents(spread.path) == contents(here.path)
    assert len(contents(here.path)) > 100


def test_a_command_takes_a_cluster(address, toy, tmp_path):
    drawn, run = tmp_path / "run-toyvoc" / "seed-5-20", tmp_path / "run"
    make_toy_voc(tmp_path / "here", train=20, val=20, seed=5)
    options = ["--images", "20", "--seed", "5", "--jobs", "1", "--dask", address]
    with pytest.MonkeyPatch.context() as patch:  # after the scenes
        patch.setattr("tinysegrank.experiment.run_experiment", lambda *_, **__: sys.exit(7))
        result = CliRunner().invoke(app, ["demo", "--out", str(run), *options])
    assert result.exit_code == 7, result.output
    assert contents(tmp_path / "here") == contents(drawn)


def test_scoring_on_a_cluster(address, toy, tmp_path):
    split = VOCSegmentation(toy, "val")
    for i, name in enumerate(split.names):
        write_labels(tmp_path / "labels" / f"{name}.png", np.roll(split.labels(i) % 255, 3))
    with cluster(address):
        spread = evaluate_folder(tmp_path / "labels", split)
    np.testing.assert_array_equal(spread.matrix, evaluate_folder(tmp_path / "labels", split).matrix)


def test_a_split_that_changed_is_read_again(address, tmp_path):
    from tinysegrank.experiment.images import ImageOfRun

    settings = replace(Settings(), data=replace(Settings().data, voc=str(tmp_path / "toy"), train="train"))
    make_toy_voc(tmp_path / "toy", train=3, val=1, seed=0, size=(20, 30))
    image = ImageOfRun(Run(tmp_path / "run", settings, 1, Silent()), "train", 0)
    names = image.split.names
    file = tmp_path / "toy" / "ImageSets" / "Segmentation" / "train.txt"
    file.write_text("\n".join(names[1:]))
    os.utime(file, ns=(1, 1))
    assert image.split.names == names[1:]


# What is refused -----------------------------------------------------------------------------------------------------


def enter(address: str, **options: float) -> None:
    with cluster(address, **options):
        pytest.fail("it was entered")


def test_distributed_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"distributed.*'\.\[dask\]'"):
        enter("tcp://127.0.0.1:8786")


def test_no_scheduler_answers(tmp_path):
    (tmp_path / "run.toml").touch()
    with socket.socket() as held:  # bound and not listening: refuses
        held.bind(("127.0.0.1", 0))
        place = f"tcp://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"{place}: no Dask cluster answers \(Timed out"):
            enter(place, timeout=0.3)
        result = CliRunner().invoke(app, ["evidence", str(tmp_path), "all", "--dask", "127.0.0.1"])
        assert result.exit_code == 1
        assert "127.0.0.1: no Dask cluster answers (missing port number" in " ".join(result.stderr.split())


def test_something_else_answers():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(ConfigError, match=r"no Dask cluster answers \(another program does\)"):
            enter(f"tcp://127.0.0.1:{held.getsockname()[1]}", timeout=0.3)


@pytest.mark.parametrize("address", ["", "host", "tcp://host", "tcp://host:port", "http://host:1", "tls://host:1"])
def test_what_is_no_address(address):
    with pytest.raises(ConfigError, match=r"no Dask cluster answers \(.*address.* such as tcp://"):
        enter(address)


def test_another_backend_here_than_there(address, monkeypatch):
    monkeypatch.setenv("TINYSEGRANK_BACKEND", "torch")
    with pytest.raises(
        ConfigError, match=r"has TINYSEGRANK_BACKEND=, not TINYSEGRANK_BACKEND=torch; make them the same"
    ):
        enter(address)


def test_workers_that_do_not_see_the_run_folder(address, tmp_path, monkeypatch):
    if not Path("/proc/self/cwd").exists():
        pytest.skip("no /proc/self/cwd: a path that is another folder in every process")
    monkeypatch.chdir(tmp_path)
    with cluster(address), pytest.raises(ConfigError, match="doesn't see this folder"):
        make_toy_voc("/proc/self/cwd/toy", train=1, val=1, seed=0)
    assert not list(tmp_path.glob("toy/.shared-*"))


def test_a_worker_with_threads(tmp_path):
    processes = Processes(tmp_path, threads=2)
    try:
        with pytest.raises(ConfigError, match=r"worker tcp://127.*: has threads=2, not threads=1; make them the same"):
            enter(processes.have(1))
    finally:
        processes.stop()


def test_no_worker_a_task_that_kills_them_and_a_scheduler_that_dies(tmp_path):
    processes = Processes(tmp_path, deaths=0)  # of workers, that a task may cause before it is given up
    try:
        with pytest.raises(
            ConfigError, match=r"no Dask cluster answers .*3 s.*; start one by .*dask worker ADDRESS --nthreads 1"
        ):
            enter(processes.address, timeout=3)
        processes.have(1)
        with cluster(processes.address) as client:
            with pytest.raises(
                ConfigError, match=r"the last worker that a task killed; .* more memory, .* work is kept"
            ):
                list(parallel_map(die, [0], jobs=1))
            results = parallel_map(process_of, [0], jobs=1)
            threading.Timer(0.5, processes.scheduler.kill).start()
            client._timeout = 1  # to look for it again
            with pytest.raises(ConfigError, match=r"the scheduler no longer answers; .* finished work is kept"):
                next(results)
    finally:
        processes.stop()
