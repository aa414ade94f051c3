"""Micro-kernels for the matrix products of Winograd: blocks of ROWS x WIDTH outputs whose sums stay in registers.

The right factor is packed once: its columns are split into panels as wide as a block, each contiguous in memory, and
the last padded with zeros. Each sum runs over the channels in order, however the product is split, so that results are
the same to the bit.

A lesson: BLAS was expected to be hard to beat. With 49 rows it is: 110 GFLOP/s per core, against 113 here. But with the
9 tiles of one map, BLAS reached 58 and this code 107, because it doesn't pack the panels again for each product.
Besides, it can add to the sums of earlier images, and threads share the panels of a product without entering Python.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from tinysegrank.compiled import compiled, intrinsic

_FEATURES = llvm.get_host_cpu_features()
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx") else 4  # float32 numbers per vector
ROWS = 14 if _FEATURES.get("avx512f") else 6  # per block: 2 vectors of sums each leave 4 of 32 (or 16) registers free
WIDTH = 2 * LANES  # columns per block


@compiled(error_model="numpy", inline="always")
def multiply_panel(
    a: np.ndarray, steps: tuple[int, int], b: np.ndarray, step: int, out: np.ndarray, sizes: tuple[int, int, int],
    panel: int, more: bool,
) -> None:  # fmt: skip
    """Compute WIDTH columns of out = a @ b, or of out += a @ b with `more`, from column panel * WIDTH on.

    a   | (M, K)     | float32 | entry (i, k) is at index i * steps[0] + k * steps[1]
    b   | (K, WIDTH) | float32 | these columns of the right factor; row k starts at index k * step
    out | (M, N)     | float32 |

    The arrays are passed flat; sizes are (M, K, N).
    """
    M, K, N = sizes
    blocks, left = (M + ROWS - 1) // ROWS, panel * WIDTH
    for block in range(blocks):
        first, last = M * block // blocks, M * (block + 1) // blocks
        _block(a[first * steps[0] :], b, out[first * N + left :], (last - first, K, N - left), (*steps, step, N), more)


@intrinsic
def _block(_: Any, a: Any, b: Any, c: Any, sizes: Any, steps: Any, more: Any) -> Any:
    """Compute one block c = a @ b, or c += a @ b with `more`.

    a (rows, depth), b (depth, columns) and c (rows, columns) are flat, with at most ROWS rows and WIDTH columns used.

    sizes: (rows, depth, columns).
    steps: strides in entries: between rows of a, columns of a, rows of b, and rows of c.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = [
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args[:3], arguments[:3], strict=True)
        ]
        sizes, steps = (cgutils.unpack_tuple(builder, arguments[number]) for number in (3, 4))
        done = builder.append_basic_block("done")
        whole = builder.icmp_signed(">=", sizes[2], sizes[2].type(WIDTH))
        with builder.if_else(whole) as (then, otherwise):
            for branch, columns in ((then, None), (otherwise, sizes[2])):
                with branch:
                    after = builder.append_basic_block("after")
                    choice = builder.switch(sizes[0], after)
                    for rows in range(1, ROWS + 1):
                        choice.add_case(sizes[0].type(rows), block := builder.append_basic_block(f"rows{rows}"))
                        builder.position_at_end(block)
                        _Block(builder, rows, columns).sum(data, sizes[1], steps, arguments[5])
                        builder.branch(after)
                    builder.position_at_end(after)
        builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(a, b, c, sizes, steps, more), code


class _Block:
    """Code generator of the micro-kernel for `rows` rows; columns beyond `columns` are masked, and None masks none."""

    def __init__(self, builder: Any, rows: int, columns: Any) -> None:
        self.builder, self.rows = builder, rows
        self.vector = ir.VectorType(ir.FloatType(), LANES)
        self.masks = [self._mask(columns, first) for first in (0, LANES)] if columns is not None else None

    def sum(self, data: list[Any], depth: Any, steps: list[Any], more: Any) -> None:
        """Emit the loop over the depth: each iteration loads two vectors of b and one number from each row of a."""
        builder, (a, b, c), integer = self.builder, data, depth.type
        sums = 2 * self.rows
        targets = [builder.gep(c, [builder.mul(steps[3], integer(row))]) for row in range(self.rows)]
        before = builder.block
        resume, loop, end = (builder.append_basic_block(name) for name in ("resume", "loop", "end"))
        builder.cbranch(more, resume, loop)
        builder.position_at_end(resume)
        held = [self._load(target, half) for target in targets for half in (0, 1)]
        builder.branch(loop)

        builder.position_at_end(loop)
        k, left, right = (builder.phi(kind) for kind in (integer, a.type, b.type))
        totals = [builder.phi(self.vector) for _ in range(sums)]
        zeros = [ir.Constant(self.vector, [0.0] * LANES)] * sums
        for source, values in ((before, zeros), (resume, held)):
            for phi, value in zip((k, left, right, *totals), (integer(0), a, b, *values), strict=True):
                phi.add_incoming(value, source)
        vectors = [self._load(right, half) for half in (0, 1)]
        results = []
        for row in range(self.rows):
            factor = self._splat(builder.load(builder.gep(left, [builder.mul(steps[0], integer(row))])))
            for half in (0, 1):
                product = builder.fmul(factor, vectors[half], flags=("contract",))
                results.append(builder.fadd(totals[2 * row + half], product, flags=("contract",)))
        following = (builder.add(k, integer(1)), builder.gep(left, [steps[1]]), builder.gep(right, [steps[2]]))
        for phi, value in zip((k, left, right, *totals), (*following, *results), strict=True):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following[0], depth), loop, end)

        builder.position_at_end(end)
        for number, result in enumerate(results):
            self._store(result, targets[number // 2], number % 2)

    def _splat(self, number: Any) -> Any:
        """Emit a vector with `number` in every lane."""
        kind = ir.VectorType(number.type, LANES)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)

    def _mask(self, columns: Any, first: int) -> Any:
        """Emit the mask of a vector's lanes whose column, counted from `first`, is below `columns`."""
        numbers = ir.Constant(ir.VectorType(columns.type, LANES), list(range(first, first + LANES)))
        return self.builder.icmp_signed("<", numbers, self._splat(columns))

    def _at(self, row: Any, half: int) -> Any:
        return self.builder.bitcast(self.builder.gep(row, [ir.IntType(64)(half * LANES)]), self.vector.as_pointer())

    def _load(self, row: Any, half: int) -> Any:
        place = self._at(row, half)
        if self.masks is None:
            loaded = self.builder.load(place)
            loaded.align = 4
            return loaded
        zero = ir.Constant(self.vector, [0.0] * LANES)
        arguments = [place, ir.IntType(32)(4), self.masks[half], zero]
        return self.builder.call(self._masked("load", self.vector, arguments), arguments)

    def _store(self, value: Any, row: Any, half: int) -> None:
        place = self._at(row, half)
        if self.masks is None:
            self.builder.store(value, place).align = 4
            return
        arguments = [value, place, ir.IntType(32)(4), self.masks[half]]
        self.builder.call(self._masked("store", ir.VoidType(), arguments), arguments)

    def _masked(self, name: str, result: Any, arguments: list[Any]) -> Any:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        suffix = f"v{LANES}f32"
        return cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.{name}.{suffix}.p0{suffix}")
