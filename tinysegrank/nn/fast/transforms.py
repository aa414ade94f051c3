"""Winograd transforms of one tile, as vector instructions: A X A^T for LANES channels at a time.

Each function loads a tile X (K, K) of vectors, multiplies its columns and then its rows by a constant matrix A (J, K),
and stores the result (J, J). The matrices are small and known, so the code has no loops, entries 0 and 1 of a matrix
take no multiplication, and intermediate results stay in registers or on the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from tinysegrank.compiled import intrinsic
from tinysegrank.nn.fast.cook_toom import KINDS, matrices

_FEATURES = llvm.get_host_cpu_features()
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx") else 4  # float32 numbers per vector
VECTOR = ir.VectorType(ir.FloatType(), LANES)


@intrinsic
def address(_: Any, array: Any) -> Any:  # numba calls this with types, and uses the code generator it returns
    """Return a pointer to the first entry of a C-contiguous array, which must stay alive while it is used."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), code


def load(builder: Any, place: Any) -> Any:
    """Emit code that loads the LANES float32 numbers from an address on, and return them as a vector."""
    loaded = builder.load(builder.bitcast(place, VECTOR.as_pointer()))
    loaded.align = 4
    return loaded


def store(builder: Any, vector: Any, place: Any) -> None:
    """Emit code that stores a vector of LANES float32 numbers from an address on."""
    builder.store(vector, builder.bitcast(place, VECTOR.as_pointer())).align = 4


def _transform(name: str, *, transposed: bool) -> Callable[..., None]:
    """Return a function for compiled code that transforms a tile by the matrix `name` of `cook_toom.Matrices`.

    With `transposed`, the matrix is transposed first. The function takes the index into `KINDS`, then three arguments
    for the source and the same three for the target: an address, the index where the tile starts, and (distance from
    row to row, distance from column to column), in entries.
    """

    def transform(_: Any, kind: Any, source: Any, start: Any, steps: Any, target: Any, first: Any, strides: Any) -> Any:
        def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            places = [builder.gep(arguments[n], [arguments[n + 1]]) for n in (1, 4)]
            distances = [cgutils.unpack_tuple(builder, arguments[n]) for n in (3, 6)]
            after = builder.append_basic_block("after")
            choice = builder.switch(arguments[0], after)
            for number, (m, r) in enumerate(KINDS):
                choice.add_case(arguments[0].type(number), block := builder.append_basic_block(f"tile{m}{r}"))
                builder.position_at_end(block)
                matrix = getattr(matrices(m, r), name)
                _emit(builder, matrix.T if transposed else matrix, places, distances)
                builder.branch(after)
            builder.position_at_end(after)
            return context.get_dummy_value()

        return types.void(kind, source, start, steps, target, first, strides), code

    transform.__name__ = f"{name}_transposed" if transposed else name
    return intrinsic(transform)


def _emit(builder: Any, matrix: np.ndarray, places: list[Any], distances: list[Any]) -> None:
    def at(which: int, row: int, column: int) -> Any:
        across, down = distances[which][1], distances[which][0]
        offset = builder.add(builder.mul(down, down.type(row)), builder.mul(across, across.type(column)))
        return builder.gep(places[which], [offset])

    J, K = matrix.shape
    columns = [_combine(builder, matrix, [load(builder, at(0, i, j)) for i in range(K)]) for j in range(K)]
    for i in range(J):
        for j, vector in enumerate(_combine(builder, matrix, [column[i] for column in columns])):
            store(builder, vector, at(1, i, j))


def _combine(builder: Any, matrix: np.ndarray, vectors: list[Any]) -> list[Any]:
    """Emit the product of a matrix (J, K) and a column of K vectors; return its J vectors."""
    results = []
    for row in matrix.astype(np.float32):
        total = None
        for factor, vector in zip(row, vectors, strict=True):
            if factor != 0:
                constant = ir.Constant(VECTOR, [float(factor)] * LANES)
                term = vector if factor == 1 else builder.fmul(vector, constant, flags=("contract",))
                total = term if total is None else builder.fadd(total, term, flags=("contract",))
        results.append(total)
    return results


inputs_to_points, points_to_inputs = (_transform("inputs", transposed=back) for back in (False, True))
points_to_outputs, outputs_to_points = (_transform("outputs", transposed=back) for back in (False, True))
taps_to_points, points_to_taps = (_transform("taps", transposed=back) for back in (False, True))
