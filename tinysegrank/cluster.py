"""Run work on the workers of a running Dask cluster instead of in processes of this machine.

Only tasks (names, numbers, at most the coarse maps of an image) and their results are sent. Workers read and write all
other files themselves, so all machines must see the data and the run folder under the same paths. If a worker dies, its
task is given to another; if there is no worker, the run waits for one.

Dask sends pickles, so anyone who can reach the scheduler can run code on the workers: keep it in a trusted network.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinysegrank.errors import ConfigError
from tinysegrank.files import write_text
from tinysegrank.worker import check_worker, packed, perform, surroundings

_IN_FLIGHT = 256  # tasks sent ahead: enough for workers that join later, few enough to keep their results in memory


@dataclass
class Cluster:
    """A connection to the scheduler of a Dask cluster, opened by `cluster`."""

    client: Any
    address: str

    def map(self, apply: Callable[..., Any], function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Yield `apply(function, item)`, computed by a worker, for each item in order.

        Raises:
            ConfigError: a worker does not fit (see `cluster`), a task killed every worker that ran it, or the
                connection to the scheduler is lost.
        """
        from distributed import KilledWorker

        sent: deque[Any] = deque()
        try:
            for item in items:
                sent.append(self.client.submit(perform, *packed(apply, function, item), pure=False))
                if len(sent) == _IN_FLIGHT:
                    yield sent.popleft().result()
            while sent:
                yield sent.popleft().result()
        except (KilledWorker, CancelledError) as error:
            reason = "the scheduler no longer answers; start it and its workers again"
            if isinstance(error, KilledWorker):
                reason = (
                    f"a task killed every worker that ran it, the last one {error.last_worker.address}; give workers "
                    "more memory, or run fewer per machine"
                )
            raise ConfigError(f"{self.address}: {reason}, and repeat the command: finished work is kept") from error


_active: ContextVar[Cluster | None] = ContextVar("cluster", default=None)


def active_cluster() -> Cluster | None:
    """Return the cluster of the innermost `with cluster(...)` around the caller, if any."""
    return _active.get()


def check_shared(folder: Path) -> None:
    """Inside `cluster`, check that all workers see a folder of this process under the same path.

    Raises:
        ConfigError: a worker does not; the message names it.
    """
    if (active := active_cluster()) is None:
        return
    probe = folder.absolute() / f".shared-{secrets.token_hex(6)}"
    write_text(probe, "")
    try:
        blind = [worker for worker, seen in active.client.run(probe.exists).items() if not seen]
    finally:
        probe.unlink()
    if blind:
        raise ConfigError(
            f"{probe.parent}: worker {blind[0]} does not see this folder, but workers read and write a run's files "
            "themselves; put it and the data where all machines see them under the same path"
        )


@contextmanager
def cluster(address: str, *, timeout: float = 20.0) -> Iterator[Cluster]:
    """Send the work of `parallel_map` inside the block to the workers of a running Dask cluster.

    Args:
        address: address of the scheduler, such as "tcp://192.168.1.5:8786".
        timeout: seconds to wait for the scheduler, and then for a first worker.

    Raises:
        ConfigError: distributed is not installed, no scheduler or no worker answers, or a worker does not fit: it has
            several threads, or its code, library versions or array backend are not those of this process.
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
        try:
            client.submit(os.getpid, pure=False).result(timeout)  # a task makes an adaptive cluster start a worker
        except TimeoutError as error:
            raise ConfigError(
                f"{address}: the scheduler has no worker and got none within {timeout:g} s; "
                f"start some with `dask worker {address} --nthreads 1 --nworkers CORES`"
            ) from error
        client.run(check_worker, surroundings())
        token = _active.set(connected := Cluster(client, address))
        try:
            yield connected
        finally:
            _active.reset(token)


def _find_scheduler(address: str, timeout: float) -> None:
    """Check that a Dask scheduler answers; Dask's client would wait long, or for ever if another program answers."""
    from distributed.comm import connect
    from distributed.security import Security

    async def greet() -> None:
        comm = await connect(address, timeout=timeout, **Security().get_connection_args("client"))
        await comm.close()

    try:
        with ThreadPoolExecutor(1) as thread:  # its own event loop, as a notebook already runs one in this thread
            thread.submit(asyncio.run, asyncio.wait_for(greet(), 2 * timeout)).result()
    except (ValueError, TypeError) as error:  # TypeError: tls without certificates
        raise ConfigError(
            f'"{address}": is not the address of a Dask scheduler ({error}); give one such as tcp://192.168.1.5:8786'
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{address}: no Dask scheduler answers within {timeout:g} s ({error or 'another program does'}); "
            f"start one with `dask scheduler`, which prints its address"
        ) from error
