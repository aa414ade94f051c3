"""Matrix products of Winograd convolutions, one per point, in blocks of outputs whose sums stay in registers.

The right factor is packed once: its columns are split into panels as wide as a block, each contiguous in memory. Each
sum runs over its terms in order, however the product is split, so that results are the same to the bit.
`README.md` has the comparison with BLAS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from tinysegrank.compiled import compiled, intrinsic
from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.transforms import LANES, VECTOR, address, load, store

ROWS = 14 if LANES == 16 else 6  # per block: 2 vectors of sums each leave 4 of 32 (or 16) registers free
WIDTH = 2 * LANES  # columns per block


@compiled(error_model="numpy")
def multiply(values: np.ndarray, filters: np.ndarray, products: np.ndarray, tiles: int, points: Pair) -> None:
    """Multiply the first `tiles` tiles by the filters, at the points numbered points[0]..points[1]-1 of G * P.

    values   | (M, G, P, C)              | float32 | tiles, with channels of one group
    filters  | (G * P, panels, K, WIDTH) | float32 | as `filter_values` packs them; K <= C channels are summed
    products | (M, G, P, F)              | float32 | output, with filters of one group; F is a multiple of LANES
    """
    (_, G, P, C), (_, panels, K, _), F = values.shape, filters.shape, products.shape[3]
    count = G * P
    a, b, c, blocks = address(values), address(filters), address(products), (tiles + ROWS - 1) // ROWS
    for point in range(points[0], points[1]):
        for block in range(blocks):
            first, last = tiles * block // blocks, tiles * (block + 1) // blocks
            place = first * count + point
            for panel in range(panels):
                _block(
                    a, place * C, b, (point * panels + panel) * K * WIDTH, c, place * F + panel * WIDTH,
                    (last - first, K, F - panel * WIDTH), (count * C, 1, WIDTH, count * F), False,
                )  # fmt: skip


@compiled(error_model="numpy")
def correlate(
    products: np.ndarray, values: np.ndarray, total: np.ndarray, tiles: int, points: Pair, more: bool
) -> None:
    """Sum products[t, ..., j] * values[t, ..., c] over the first `tiles` tiles t, at some of the G * P points.

    These are the points numbered points[0]..points[1]-1. Their sums overwrite `total`, or with `more` are added to it.

    products | (M, G, P, F)  | float32 |
    values   | (M, G, P, C)  | float32 | C is a multiple of LANES
    total    | (G * P, J, C) | float32 | output, for the first J <= F entries of `products`
    """
    (_, G, P, F), (_, J, C) = products.shape, total.shape
    count = G * P
    a, b, c, blocks = address(products), address(values), address(total), (J + ROWS - 1) // ROWS
    for point in range(points[0], points[1]):
        for left in range(0, C, WIDTH):
            for block in range(blocks):
                first, last = J * block // blocks, J * (block + 1) // blocks
                _block(
                    a, point * F + first, b, point * C + left, c, (point * J + first) * C + left,
                    (last - first, tiles, C - left), (1, count * F, count * C, C), more,
                )  # fmt: skip


@intrinsic
def _block(
    _: Any, a: Any, a_start: Any, b: Any, b_start: Any, c: Any, c_start: Any, sizes: Any, steps: Any, more: Any
) -> Any:
    """Compute one block c = a @ b, or c += a @ b with `more`.

    a, b and c are pointers; the matrices (rows, depth), (depth, columns) and (rows, columns) start `a_start`, `b_start`
    and `c_start` entries further on. The block is WIDTH columns wide if columns >= WIDTH, otherwise LANES.

    sizes: (rows, depth, columns), with at most ROWS rows.
    steps: distance in entries between rows of a, columns of a, rows of b, and rows of c.
    """

    def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        data = [builder.gep(arguments[number], [arguments[number + 1]]) for number in (0, 2, 4)]
        sizes, steps = (cgutils.unpack_tuple(builder, arguments[number]) for number in (6, 7))
        whole = builder.icmp_signed(">=", sizes[2], sizes[2].type(WIDTH))
        with builder.if_else(whole) as (then, otherwise):
            for branch, vectors in ((then, 2), (otherwise, 1)):
                with branch:
                    after = builder.append_basic_block("after")
                    choice = builder.switch(sizes[0], after)
                    for rows in range(1, ROWS + 1):
                        choice.add_case(sizes[0].type(rows), block := builder.append_basic_block(f"rows{rows}"))
                        builder.position_at_end(block)
                        _sum(builder, rows, vectors, data, sizes[1], steps, arguments[8])
                        builder.branch(after)
                    builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(a, a_start, b, b_start, c, c_start, sizes, steps, more), code


def _sum(builder: Any, rows: int, vectors: int, data: list[Any], depth: Any, steps: list[Any], more: Any) -> None:
    """Emit a block's loop over the depth: each iteration multiplies a row of b by one number from each row of a."""
    (a, b, c), integer = data, depth.type

    def at(row: Any, vector: int) -> Any:
        return builder.gep(row, [integer(vector * LANES)])

    targets = [
        at(builder.gep(c, [builder.mul(steps[3], integer(row))]), vector)
        for row in range(rows)
        for vector in range(vectors)
    ]
    before = builder.block
    resume, loop, end = (builder.append_basic_block(name) for name in ("resume", "loop", "end"))
    builder.cbranch(more, resume, loop)
    builder.position_at_end(resume)
    held = [load(builder, target) for target in targets]
    builder.branch(loop)

    builder.position_at_end(loop)
    k, left, right = (builder.phi(kind) for kind in (integer, a.type, b.type))
    totals = [builder.phi(VECTOR) for _ in targets]
    zeros = [ir.Constant(VECTOR, [0.0] * LANES)] * len(targets)
    for source, values in ((before, zeros), (resume, held)):
        for phi, value in zip((k, left, right, *totals), (integer(0), a, b, *values), strict=True):
            phi.add_incoming(value, source)
    row_of_b, results = [load(builder, at(right, vector)) for vector in range(vectors)], []
    for row in range(rows):
        factor = _splat(builder, builder.load(builder.gep(left, [builder.mul(steps[0], integer(row))])))
        for vector, number in enumerate(row_of_b):
            product = builder.fmul(factor, number, flags=("contract",))
            results.append(builder.fadd(totals[row * vectors + vector], product, flags=("contract",)))
    following = (builder.add(k, integer(1)), builder.gep(left, [steps[1]]), builder.gep(right, [steps[2]]))
    for phi, value in zip((k, left, right, *totals), (*following, *results), strict=True):
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", following[0], depth), loop, end)

    builder.position_at_end(end)
    for result, target in zip(results, targets, strict=True):
        store(builder, result, target)


def _splat(builder: Any, number: Any) -> Any:
    """Emit a vector with `number` in every lane."""
    undefined, zeros = ir.Constant(VECTOR, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(builder.insert_element(undefined, number, ir.IntType(32)(0)), undefined, zeros)
