"""How a convolution is cut into tiles, and its work into chunks and jobs."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinysegrank.nn.fast.cook_toom import TILES, matrices
from tinysegrank.nn.fast.tiles import Matrix, Tiling
from tinysegrank.nn.windows import Pair

CACHE = 2**20  # numbers that the tiles of one chunk of images may take
ENOUGH = 72  # tiles of one chunk for which fetching the filters hardly counts
FETCH = 24  # tiles whose products take as long as it takes to fetch the filters from memory
JOB = 2**17  # numbers that are worth a job of their own
JOBS = 8  # of one stage, at most


class Geometry(NamedTuple):
    """The tiles of a convolution of stride 1.

    Attributes:
        inputs, outputs: how x is cut into tiles, and y put together.
        taps: (P, r * r), from the taps of a filter to its values at the P points.
        chunk: how many images are treated at a time.
    """

    inputs: Tiling
    outputs: Tiling
    taps: np.ndarray
    chunk: int

    @property
    def tiles(self) -> int:
        """Tiles of one map."""
        return self.inputs.tiles[0] * self.inputs.tiles[1]


@lru_cache
def geometry(N: int, channels: int, out: Pair, r: int, padding: Pair) -> Geometry:
    """Choose the tiles for N maps, `channels` of input and output together, and kernels of r x r.

    The tile size is the one that takes the least time: at each point, the products of all tiles with the filters, and
    the filters have to be fetched from memory.
    """
    m = min(TILES[r], key=lambda m: (N * -(-out[0] // m) * -(-out[1] // m) + FETCH) * (m + r - 1) ** 2)
    tiles = (-(-out[0] // m), -(-out[1] // m))
    count = tiles[0] * tiles[1]
    outputs, taps, inputs = matrices(m, r)
    return Geometry(
        inputs=Tiling(_tuples(inputs), _tuples(inputs.T), m, padding, tiles),
        outputs=Tiling(_tuples(outputs.T), _tuples(outputs), m, (0, 0), tiles),
        taps=np.kron(taps, taps).astype(np.float32),
        chunk=min(N, max(1, CACHE // (len(inputs) ** 2 * count * channels), -(-ENOUGH // count))),
    )


def chunks(N: int, size: int) -> list[slice]:
    """Cut N images into chunks."""
    return [slice(start, min(N, start + size)) for start in range(0, N, size)]


def jobs(units: int, numbers: int) -> int:
    """How many jobs to make of work on so many units and numbers; the same for any number of threads."""
    return min(units, JOBS, max(1, numbers // JOB))


def _tuples(matrix: np.ndarray) -> Matrix:
    return tuple(tuple(np.float32(entry) for entry in row) for row in matrix)
