"""The twin of `nn.conv` for small kernels of stride 1: Winograd's convolution, one matrix product at each point.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016); see `cook_toom` for the mathematics.
The backward pass is the adjoint of the forward pass, step by step, so it takes the tiles of x as they are.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.nn.fast import TileContext
from tinysegrank.nn.fast.cook_toom import POINTS, matrices
from tinysegrank.nn.fast.threads import Stage, run_stages
from tinysegrank.nn.fast.tiles import Tiling, from_tiles, to_tiles
from tinysegrank.nn.windows import Pair

IMAGES = 4  # of one job


def conv2d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, padding: Pair, groups: int
) -> tuple[np.ndarray, TileContext]:
    """Do as `nn.conv2d` with stride 1, to 1e-4 of the largest output of exact arithmetic.

    x       | (N, C, H, W)          | float32 | finite: what is not spoils its whole tile
    weight  | (F, C/groups, KH, KW) | float32 |
    bias    | (F,)                  | float32 |
    returns | (N, F, OH, OW)        | float32 | channels last in memory
    and the context for `conv2d_backward`.
    """
    (N, C, H, W), (F, _, KH, KW) = x.shape, weight.shape
    out = (H + 2 * padding[0] - KH + 1, W + 2 * padding[1] - KW + 1)
    inputs, outputs, taps = _tilings(out, (KH, KW), padding)
    P, T = len(taps), inputs.tiles[0] * inputs.tiles[1]

    filters = np.empty((P, groups, F // groups, C // groups), np.float32)
    values = np.empty((groups, P, N * T, C // groups), np.float32)
    products = np.empty((groups, P, N * T, F // groups), np.float32)
    y = np.empty((N, *out, F), np.float32)

    def transform(_: int) -> None:
        np.matmul(taps, weight.reshape(-1, KH * KW).T, out=filters.reshape(P, -1))

    def multiply(job: int) -> None:
        g, p = divmod(job, P)
        np.matmul(values[g, p], filters[p, g].T, out=products[g, p])

    run_stages(
        (transform, 1),
        _cut(x.transpose(0, 2, 3, 1), inputs, values),
        (multiply, groups * P),
        _join(products, outputs, bias, y),
    )
    return y.transpose(0, 3, 1, 2), TileContext(values, filters, x.shape, weight.shape, out, padding)


def conv2d_backward(
    gradient: np.ndarray, context: TileContext, *, needs: tuple[bool, bool, bool]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Do as `nn.conv2d_backward`, to 1e-4 of the largest entry of each gradient in exact arithmetic.

    gradient | (N, F, OH, OW) | float32 | of the loss with respect to the output
    returns  | (N, C, H, W), (F, C/groups, KH, KW), (F,) | float32 | None where not needed

    Raises:
        ShapeError: the gradient is not of the output's shape.
    """
    values, filters, (N, C, H, W), (F, _, KH, KW), out, padding = context
    if gradient.shape != (N, F, *out):
        raise ShapeError(f"conv2d_backward: a gradient of shape {gradient.shape} for an output of {(N, F, *out)}")
    gradient = gradient.astype(np.float32, copy=False)
    inputs, outputs, taps = _tilings(out, (KH, KW), padding)
    G, P, NT, _ = values.shape
    gproducts = np.empty((G, P, NT, F // G), np.float32)
    gfilters = np.empty_like(filters)
    gvalues = np.empty_like(values) if needs[0] else values
    gx = np.empty((N, H, W, C), np.float32) if needs[0] else None
    gweight = np.empty(context.weight_shape, np.float32) if needs[1] else None

    def multiply(job: int) -> None:
        g, p = divmod(job, P)
        if gweight is not None:
            np.matmul(gproducts[g, p].T, values[g, p], out=gfilters[p, g])
        if gx is not None:
            np.matmul(gproducts[g, p], filters[p, g], out=gvalues[g, p])

    stages = [_cut(gradient.transpose(0, 2, 3, 1), outputs, gproducts), (multiply, G * P)]
    if gx is not None:
        stages.append(_join(gvalues, inputs, np.zeros(C, np.float32), gx))
    if gweight is not None:
        gtaps = gweight.reshape(-1, KH * KW)  # (F * C/G, KH * KW)
        stages.append((lambda _: np.matmul(gfilters.reshape(P, -1).T, taps, out=gtaps), 1))
    if needs[0] or needs[1]:
        run_stages(*stages)
    gbias = gradient.sum(axis=(0, 2, 3)) if needs[2] else None  # (F,)
    return (None if gx is None else gx.transpose(0, 3, 1, 2)), gweight, gbias


def _cut(x: np.ndarray, tiling: Tiling, values: np.ndarray) -> Stage:
    """The stage that fills the tiles of x (N, H, W, G * C) into values (G, P, N * T, C)."""
    G, N, C = len(values), len(x), values.shape[3]
    jobs = -(-N // IMAGES)

    def job(number: int) -> None:
        g, part = divmod(number, jobs)
        to_tiles(x, (part * IMAGES, min(N, (part + 1) * IMAGES)), g * C, tiling, values[g])

    return job, G * jobs


def _join(values: np.ndarray, tiling: Tiling, bias: np.ndarray, y: np.ndarray) -> Stage:
    """The stage that adds the tiles of values (G, P, N * T, C) into y (N, H, W, G * C)."""
    G, N, C = len(values), len(y), values.shape[3]
    jobs = -(-N // IMAGES)

    def job(number: int) -> None:
        g, part = divmod(number, jobs)
        from_tiles(values[g], (part * IMAGES, min(N, (part + 1) * IMAGES)), g * C, tiling, bias, y)

    return job, G * jobs


@lru_cache
def _tilings(out: Pair, kernel: Pair, padding: Pair) -> tuple[Tiling, Tiling, np.ndarray]:
    """How x is cut, how y is joined, and the filters' transform (P, KH * KW)."""
    m = [_tile_size(length, r) for length, r in zip(out, kernel, strict=True)]
    step, tiles = (m[0], m[1]), (-(-out[0] // m[0]), -(-out[1] // m[1]))
    down, across = (matrices(size, r) for size, r in zip(m, kernel, strict=True))
    return (
        Tiling(_float32(down.inputs), _float32(across.inputs), step, padding, tiles),
        Tiling(_float32(down.outputs.T), _float32(across.outputs.T), step, (0, 0), tiles),
        _float32(np.kron(down.taps, across.taps)),
    )


def _float32(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix, np.float32)


def _tile_size(length: int, r: int) -> int:
    """The outputs of a tile for which a line of outputs takes the fewest products; the smaller one of two."""
    sizes = [points + 1 - r for points in POINTS if points > r]
    return min(sizes, key=lambda m: -(-length // m) * (m + r - 1))
