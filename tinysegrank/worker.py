"""Run tasks on the worker of a Dask cluster, if its code, libraries and settings are those of the sender."""

from __future__ import annotations

import importlib.metadata
import os
import pickle
import platform
from functools import lru_cache
from typing import Any

from tinysegrank.code_digest import all_modules, code_digest
from tinysegrank.errors import ConfigError

_LIBRARIES = ("numpy", "scipy", "scikit-image", "scikit-learn", "numba")  # those that compute
_VARIABLES = ("TINYSEGRANK_BACKEND", "TINYSEGRANK_ACCELERATE")


def packed(*call: Any) -> tuple[tuple[str, ...], bytes]:
    """Return the arguments of `perform` for a function and its arguments: this process's `surroundings`, and a pickle.

    The pickle is bytes, so that `perform` can check the worker before it unpickles.
    """
    return surroundings(), pickle.dumps(call, protocol=5)


def perform(expected: tuple[str, ...], pickled: bytes) -> Any:
    """Run a packed call on a worker and return its result.

    Raises:
        ConfigError: the worker does not fit, see `check_worker`.
    """
    from distributed import get_worker
    from joblib import parallel_config
    from numba import set_num_threads

    check_worker(expected, get_worker())  # each time, as this worker may have joined after the first check
    set_num_threads(1)  # there is one worker per core
    apply, *arguments = pickle.loads(pickled)  # noqa: S301
    with parallel_config(backend="sequential"):  # for libraries that call joblib inside
        return apply(*arguments)


def surroundings() -> tuple[str, ...]:
    """Return the versions and settings that must agree in two processes for their results to be the same."""
    return (*_versions(), *(f"{name}={os.environ.get(name, '')}" for name in _VARIABLES))


@lru_cache(maxsize=1)
def _versions() -> tuple[str, ...]:
    libraries = (f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return (f"Python {platform.python_version()}", f"tinysegrank of code {code_digest(*all_modules())[:8]}", *libraries)


def check_worker(expected: tuple[str, ...], dask_worker: Any) -> None:  # Dask passes the worker under this name
    """Check that a worker has one thread and the expected `surroundings`, those of the sender.

    Raises:
        ConfigError: it has several threads, or other versions, code or settings.
    """
    if dask_worker.state.nthreads != 1:
        raise ConfigError(
            f"{dask_worker.address}: has {dask_worker.state.nthreads} threads, which would share one BLAS; "
            f"start workers with --nthreads 1 --nworkers CORES"
        )
    different = [f"{there}, here {here}" for there, here in zip(surroundings(), expected, strict=True) if there != here]
    if different:
        raise ConfigError(f"{dask_worker.address}: the worker has {'; '.join(different)}; make them the same")
