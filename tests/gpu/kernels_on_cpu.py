"""CUDA C on the processor: a C++ compiler reads it behind a few definitions, and its threads run one after the other.

That is right for kernels whose threads share nothing. The arguments are checked against the parameters, which neither
CUDA nor CuPy does.
"""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DEFINITIONS = """
static int min(int a, int b) { return a < b ? a : b; }
static int max(int a, int b) { return a > b ? a : b; }
extern "C" {
float powf(float, float) noexcept; float expf(float) noexcept; float logf(float) noexcept; float sqrtf(float) noexcept;
}
struct Place { unsigned x; };
static Place blockIdx, blockDim, threadIdx;
#define __global__
"""
TYPES = {"int": np.int32, "float": np.float32, "unsigned long long": np.uint64}
POINTERS = {"const float*": np.float32, "float*": np.float32, "const bool*": np.bool_, "bool*": np.bool_}


def parameters_of(source: str) -> dict[str, str]:
    """Return the type of each parameter of a source's kernel, by name."""
    found = re.search(r"__global__ void \w+\(([^)]*)\)", source)
    assert found is not None
    pairs = (part.strip().rpartition(" ") for part in found[1].split(","))
    return {name: kind for kind, _, name in pairs}


@functools.cache
def on_cpu(source: str, name: str) -> Callable[..., None]:
    """Compile a kernel; the function returned takes the number of blocks, that of threads in each, and arguments."""
    compiler = next(filter(None, map(shutil.which, ("g++", "clang++", "c++"))), None)
    if compiler is None:
        pytest.skip("no C++ compiler (g++, clang++ or c++), which runs CUDA kernels on the processor")
    parameters = parameters_of(source)
    run = f"""
extern "C" void run(unsigned blocks, unsigned threads, {", ".join(f"{kind} {n}" for n, kind in parameters.items())}) {{
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x)
            {name}({", ".join(parameters)});
}}
"""
    with tempfile.TemporaryDirectory() as folder:
        program, library = Path(folder, "kernel.cpp"), Path(folder, "kernel.so")
        program.write_text(DEFINITIONS + source + run)
        # no fused multiply-adds, as in nn.cuda.kernel.OPTIONS
        command = [compiler, "-O1", "-ffp-contract=off", "-shared", "-fPIC", str(program), "-o", str(library), "-lm"]
        subprocess.run(command, check=True, capture_output=True, text=True)
        function = ctypes.CDLL(str(library)).run

    def call(blocks: int, threads: int, arguments: tuple[Any, ...]) -> None:
        assert len(arguments) == len(parameters), f"{name} takes {', '.join(parameters)}"
        passed = map(_passed, parameters, parameters.values(), arguments)
        function(ctypes.c_uint(blocks), ctypes.c_uint(threads), *passed)

    return call


def _passed(name: str, kind: str, value: Any) -> Any:
    """Return an argument for ctypes; refuse one that is not what the kernel reads."""
    if isinstance(value, np.ndarray):
        assert kind in POINTERS and value.dtype == POINTERS[kind], f"{name} is {kind}, not an array of {value.dtype}"
        assert value.flags.c_contiguous or name.startswith("strided"), f"{name} is not contiguous"
        return ctypes.c_void_p(value.ctypes.data)
    assert type(value) is TYPES.get(kind), f"{name} is {kind}, not {type(value).__name__}"
    return np.ctypeslib.as_ctypes_type(type(value))(value)
