"""The software and the machine that make results, as noted in stamps and the manifest."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

from tinysegrank import __version__
from tinysegrank.backend import get_backend
from tinysegrank.code_digest import surroundings


def software_and_machine() -> dict[str, str]:
    """Return five texts by name: "tinysegrank" (its version), "surroundings", "backend", "processor" and "BLAS".

    The surroundings are versions, a digest of the code and environment variables, joined by commas.
    """
    own = {"tinysegrank": __version__, "surroundings": ", ".join(surroundings()), "backend": get_backend().describe()}
    kernels = sorted({f"{pool['internal_api']} for {pool['architecture']}" for pool in blas()})
    return {**own, "processor": processor(), "BLAS": ", ".join(kernels)}


@lru_cache(maxsize=1)
def processor() -> str:
    """Return the processor's name, where known, and the machine type, without starting another program."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0]}, {platform.machine()}" if named else platform.machine()


@lru_cache(maxsize=1)
def blas() -> list[dict[str, Any]]:
    """Return threadpoolctl's entry for each BLAS library in this process."""
    import numpy as np
    from threadpoolctl import threadpool_info

    np.dot(np.zeros((2, 2)), np.zeros((2, 2)))  # loads the library
    return [{"architecture": "unknown", **pool} for pool in threadpool_info() if pool["user_api"] == "blas"]
