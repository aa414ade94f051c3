"""Run work on the workers of a running Dask cluster instead of in processes of this machine.

Only tasks (names, numbers, at most the coarse maps of an image) and their results are sent. Workers read and write all
other files themselves, so all machines must see the data and the run folder under the same paths. If a worker dies, its
task is given to another. If the command ends early, each worker finishes its present task.

Dask sends pickles, so anyone who can reach the scheduler can run code on the workers: keep it in a trusted network.
"""

from __future__ import annotations

import asyncio
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from tinysegrank.code_digest import surroundings
from tinysegrank.errors import ConfigError
from tinysegrank.files import writing

_AHEAD = 256  # tasks sent ahead: enough for workers that join later, few enough to keep their results in memory

active_client: ContextVar[Any] = ContextVar("active_client", default=None)
"""The Dask client of the innermost `with cluster(...)` around the caller, if any."""


@contextmanager
def cluster(address: str, *, timeout: float = 20.0) -> Iterator[Any]:
    """Send the work of `parallel_map` inside the block to a Dask cluster; yield the Dask client.

    Args:
        address: address of the scheduler, such as tcp://192.168.1.5:8786.
        timeout: seconds to wait for the scheduler, and then for a first worker.

    Raises:
        ConfigError: distributed isn't installed, no scheduler or worker answers, or the first worker has several
            threads or other code, versions or settings.
    """
    with ExitStack() as stack:
        try:
            from distributed import Client
            from distributed.comm import connect
            from distributed.security import Security

            options = Security().get_connection_args("client")
            greeting = asyncio.wait_for(connect(address, timeout=timeout, **options), 2 * timeout)
            with ThreadPoolExecutor(1) as thread:  # its own event loop, as a notebook already runs one in this thread
                thread.submit(asyncio.run, greeting).result().abort()  # a Client may wait for ever on other programs
            client = stack.enter_context(Client(address, timeout=timeout, set_as_default=False))
            _submit(client, os.path.exists, "").result(timeout)  # a task makes an adaptive cluster start a worker
        except (ImportError, OSError, ValueError, TypeError) as error:  # TypeError: tls without certificates
            raise ConfigError(
                f"{address}: no Dask cluster answers ({str(error) or 'another program does'}); start one by "
                "`pip install '.[dask]'` in a checkout on every machine, `dask scheduler`, which prints its address, "
                "such as tcp://192.168.1.5:8786, and `dask worker ADDRESS --nthreads 1 --nworkers CORES`"
            ) from error
        stack.callback(active_client.reset, active_client.set(client))
        yield client


def cluster_map(client: Any, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Yield `function(item)`, computed by a worker, for each item in order.

    Raises:
        ConfigError: a worker has several threads or other code, versions or settings; a task killed every worker that
            ran it; or the scheduler is gone.
    """
    from distributed import KilledWorker

    calls = (_submit(client, function, item) for item in items)
    sent = deque(islice(calls, _AHEAD))
    try:
        while sent:
            yield sent.popleft().result()
            sent.extend(islice(calls, 1))
    except KilledWorker as error:
        todo = "give workers more memory, or run fewer per machine, and repeat the command: finished work is kept"
        raise ConfigError(f"{error.last_worker.address}: the last worker that a task killed; {todo}") from error
    except CancelledError as error:
        todo = "start it and its workers again, and repeat the command: finished work is kept"
        raise ConfigError(f"{client.scheduler.address}: the scheduler no longer answers; {todo}") from error


def _submit(client: Any, function: Callable[[Any], Any], item: Any) -> Any:
    return client.submit(_perform, ("threads=1", *surroundings()), pickle.dumps((function, item)), pure=False)


def _perform(expected: tuple[str, ...], pickled: bytes) -> Any:
    """Run a pickled (function, item) on a worker, and return the result.

    Raises:
        ConfigError: the worker's threads and `surroundings` are not the `expected` ones of the sender.
    """
    from distributed import get_worker
    from joblib import parallel_config
    from numba import set_num_threads

    found = (f"threads={get_worker().state.nthreads}", *surroundings())
    if different := [f"{there}, not {here}" for there, here in zip(found, expected, strict=True) if there != here]:
        raise ConfigError(f"worker {get_worker().address}: has {'; '.join(different)}; make them the same")
    set_num_threads(1)
    with parallel_config(backend="sequential"):  # for libraries that call joblib inside
        function, item = pickle.loads(pickled)  # noqa: S301
        return function(item)


def check_shared(folder: Path) -> None:
    """Check that every worker sees a folder under the same path; do nothing outside `cluster`.

    Raises:
        ConfigError: a worker does not see it.
        OutputError: the folder cannot be written, as the check needs a temporary file there.
    """
    if client := active_client.get():
        with writing(folder), NamedTemporaryFile(dir=folder.absolute(), prefix=".shared-") as probe:
            blind = [worker for worker, seen in client.run(os.path.exists, probe.name).items() if not seen]
        if blind:
            todo = "put it and the data where all machines see them under the same path"
            raise ConfigError(f"{folder}: worker {blind[0]} doesn't see this folder; {todo}")
