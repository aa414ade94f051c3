"""The workers of a running Dask cluster, on any number of machines, in place of processes of this one.

What travels is a task (names, numbers, at most the coarse maps of an image) and what its function returns. Images,
features and everything that a run keeps are files, read and written by the workers themselves: all machines must see
the data and the run folder under the same paths, on a shared file system.

A worker that dies loses the task it was at, which another worker gets. As files appear whole or not at all, and a task
does the same work whenever it is done, the run ends as it would have ended. While there is no worker at all, it waits.

Dask sends tasks and results as pickles, so whoever reaches the scheduler can run code: keep it in a trusted network.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import pickle
import platform
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tinysegrank.compiled import source_digest
from tinysegrank.errors import ConfigError
from tinysegrank.files import write_text

_LIBRARIES = ("numpy", "scipy", "scikit-image", "scikit-learn", "numba")  # those that compute
_VARIABLES = ("TINYSEGRANK_BACKEND", "TINYSEGRANK_ACCELERATE")
_IN_FLIGHT = 256  # tasks sent ahead: enough for workers that join later, few enough to be held in memory


class Cluster:
    """A connection to the scheduler of a Dask cluster; `cluster` makes one."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address

    def map(self, apply: Callable[..., Any], function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Yield `apply(function, item)`, computed by a worker, for each item in order.

        Raises:
            ConfigError: a worker does not fit (see `cluster`), a task ended every worker that was given it, or the
                scheduler is lost.
        """
        from distributed import KilledWorker
        from joblib import Parallel, delayed, parallel_config

        with parallel_config(backend=_backend(self._client)):  # the pool takes it up; what the caller runs does not
            pool = Parallel(n_jobs=-1, return_as="generator", pre_dispatch=_IN_FLIGHT)
        calls = (delayed(_perform)(_Call.of(apply, function, item)) for item in items)
        try:
            yield from pool(calls)
        except KilledWorker as error:
            raise ConfigError(
                f"{self._address}: a task ended every worker that was given it, {error.last_worker.address} the last; "
                f"give each more memory, or run fewer on a machine, and repeat the command: what is done is kept"
            ) from error
        except CancelledError as error:
            raise ConfigError(
                f"{self._address}: the scheduler does not answer any more; start it and its workers again, and repeat "
                f"the command: what is done is kept"
            ) from error

    def check_shared(self, folder: Path) -> None:
        """See that all workers have a folder of this process, under the same path.

        Raises:
            ConfigError: naming a worker that has not.
        """
        probe = folder.absolute() / f".shared-{secrets.token_hex(6)}"
        write_text(probe, "")
        try:
            blind = [worker for worker, seen in self._client.run(probe.exists).items() if not seen]
        finally:
            probe.unlink()
        if blind:
            raise ConfigError(
                f"{probe.parent}: worker {blind[0]} does not see this folder, and workers read and write a run's files "
                "themselves; put it, and the data, where all machines have them under the same path"
            )


_active: ContextVar[Cluster | None] = ContextVar("cluster", default=None)


def active_cluster() -> Cluster | None:
    """The cluster of the innermost `with cluster(...)` around the caller, if any."""
    return _active.get()


def check_shared(folder: Path) -> None:
    """Inside `cluster`, see that all workers have a folder under the same path: `Cluster.check_shared`."""
    if (active := active_cluster()) is not None:
        active.check_shared(folder)


@contextmanager
def cluster(address: str, *, timeout: float = 20.0) -> Iterator[Cluster]:
    """Send what `parallel_map` is given inside the block to the workers of a running Dask cluster.

    Args:
        address: of its scheduler, such as "tcp://192.168.1.5:8786".
        timeout: seconds to wait for the scheduler, and then for a first worker.

    Raises:
        ConfigError: distributed is not installed, no scheduler or no worker answers, or a worker does not fit: it has
            several threads, or other versions of the libraries or another array backend than this process.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            f"{address}: a cluster needs the library distributed, which is not installed ({error}); "
            f"run `pip install 'tinysegrank[dask]'` here and on every machine of the cluster"
        ) from error
    _find_scheduler(address, timeout)
    with Client(address, timeout=timeout, set_as_default=False) as client:
        _wait_for_a_worker(client, address, timeout)
        client.run(_check_worker, surroundings())
        connected = Cluster(client, address)
        token = _active.set(connected)
        try:
            yield connected
        finally:
            _active.reset(token)


def _find_scheduler(address: str, timeout: float) -> None:
    """See that a scheduler answers: Dask's client itself waits long, and for ever where something else answers."""
    from distributed.comm import connect
    from distributed.security import Security

    async def greet() -> None:
        comm = await connect(address, timeout=timeout, **Security().get_connection_args("client"))
        await comm.close()

    try:
        with ThreadPoolExecutor(1) as thread:  # with a loop of its own, as a notebook has one running here
            thread.submit(asyncio.run, asyncio.wait_for(greet(), 2 * timeout)).result()
    except (ValueError, TypeError) as error:  # TypeError: tls without certificates
        raise ConfigError(
            f'"{address}": is no address of a Dask scheduler ({error}); give one such as tcp://192.168.1.5:8786'
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{address}: no Dask scheduler answers within {timeout:g} s ({error or 'something else does'}); "
            f"start one with `dask scheduler`, which prints its address"
        ) from error


def _wait_for_a_worker(client: Any, address: str, timeout: float) -> None:
    try:
        client.submit(os.getpid, pure=False).result(timeout)  # a task, for which an adaptive cluster starts a worker
    except TimeoutError as error:
        raise ConfigError(
            f"{address}: the scheduler has no worker, and got none within {timeout:g} s; "
            f"start some with `dask worker {address} --nthreads 1 --nworkers CORES`"
        ) from error


def _backend(client: Any) -> Any:
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]
        """joblib's, with two silences of it broken."""

        def effective_n_jobs(self, n_jobs: int) -> int:  # noqa: ARG002
            """The number of workers, at least 2: for a single one joblib would take this process in its place."""
            return max(2, int(sum(self.client.ncores().values())))

        def submit(self, func: Any, callback: Any = None) -> Any:
            """As joblib does, but an error of Dask's own reaches the caller, who would wait for ever."""
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: callback(done.exception()) if done.exception() else None)
            return future

    return Backend(client=client)


class _Call(NamedTuple):
    """A call to send, pickled here so that a worker with other code can say so before it unpickles.

    A tuple, because joblib would store other large arguments on one worker, and lose them with that worker.
    """

    surroundings: tuple[str, ...]  # of the process that asks
    pickled: bytes

    @classmethod
    def of(cls, *call: Any) -> _Call:
        """Of a function and its arguments."""
        return cls(surroundings(), pickle.dumps(call, protocol=5))


def _perform(call: _Call) -> Any:
    from distributed import get_worker
    from joblib import parallel_config
    from numba import set_num_threads

    _check_worker(call.surroundings, get_worker())  # each time, as it may have joined since
    set_num_threads(1)  # there is a worker for every core
    apply, *arguments = pickle.loads(call.pickled)  # noqa: S301
    with parallel_config(backend="sequential"):  # or libraries that call joblib inside would ask the cluster
        return apply(*arguments)


def surroundings() -> tuple[str, ...]:
    """What has to be alike in two processes for their results to be so."""
    return (*_versions(), *(f"{name}={os.environ.get(name, '')}" for name in _VARIABLES))


@lru_cache(maxsize=1)
def _versions() -> tuple[str, ...]:
    libraries = (f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return (f"Python {platform.python_version()}", f"tinysegrank of code {source_digest()[:8]}", *libraries)


def _check_worker(expected: tuple[str, ...], dask_worker: Any) -> None:  # a name that Dask fills in
    if dask_worker.state.nthreads != 1:
        raise ConfigError(
            f"{dask_worker.address}: has {dask_worker.state.nthreads} threads, which would share one BLAS; "
            f"start workers with --nthreads 1 --nworkers CORES"
        )
    different = [f"{there}, here {here}" for there, here in zip(surroundings(), expected, strict=True) if there != here]
    if different:
        raise ConfigError(f"{dask_worker.address}: the worker has {'; '.join(different)}; make them the same")
