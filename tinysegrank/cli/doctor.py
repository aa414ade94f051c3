"""Diagnostics of this machine and installation, for `tinysegrank doctor`."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from tinysegrank import __version__
from tinysegrank.backend import VARIABLE, get_backend
from tinysegrank.cli.group import CORES
from tinysegrank.code_digest import library_versions
from tinysegrank.errors import TinySegRankError
from tinysegrank.experiment.origin import blas, processor


def findings() -> Iterator[tuple[str, str]]:
    """Yield (name, value) pairs to print about the installation and the machine; a value says what is missing."""
    from tinysegrank.compiled_cache import cache_folder  # numba loads slowly

    yield "tinysegrank", __version__
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.release()}, {processor()}"
    yield "libraries", ", ".join(f"{name} {version}" for name, version in library_versions().items())
    folder = cache_folder()
    unwritable = "not cached, for lack of a writable folder; set NUMBA_CACHE_DIR to one"
    yield "compiled", f"cached in {folder}" if folder else unwritable
    try:
        yield "backend", get_backend().describe()
    except TinySegRankError as error:
        yield "backend", f"not usable: {error}"
    for name in ("numpy", "torch", "jax", "cupy"):
        try:
            yield f"  {name}", f"usable, {get_backend(name).describe()}"
        except TinySegRankError as error:
            yield f"  {name}", str(error)
    pools = (
        f"{pool['internal_api']} {pool['version']} ({pool['architecture']} kernels), {pool['num_threads']} threads"
        for pool in blas()
    )
    yield "BLAS", "; ".join(pools) or "not known to threadpoolctl"
    yield "cores", f"{CORES} available to this process"
    for variable in (
        VARIABLE,
        "TINYSEGRANK_ACCELERATE",
        "OPENBLAS_CORETYPE",
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
    ):
        yield f"  {variable}", os.environ.get(variable, "not set")
    yield "data", _data()
    yield "weights", _weights()


def _data() -> str:
    root = os.environ.get("TINYSEGRANK_VOC")
    if not root:
        return "TINYSEGRANK_VOC is not set; the tests on real images are skipped"
    splits = sorted(path.stem for path in Path(root, "ImageSets", "Segmentation").glob("*.txt"))
    return f"{root}: splits {', '.join(splits)}" if splits else f"{root}: contains no ImageSets/Segmentation/*.txt"


def _weights() -> str:
    from tinysegrank.segnet import presets_of, read_weights

    path = os.environ.get("TINYSEGRANK_WEIGHTS")
    if not path:
        return "TINYSEGRANK_WEIGHTS is not set; the tests on real weights are skipped"
    try:
        kind, arrays = read_weights(path)
    except TinySegRankError as error:
        return str(error)
    fits = presets_of(arrays)
    return f"{path}: {kind}; " + (f"fits --preset {' or '.join(fits)}" if fits else "fits no preset")
