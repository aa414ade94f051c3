"""Choice of Winograd tiles for a convolution, and the split of its work into chunks of images and jobs for threads."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinysegrank.nn.fast.cook_toom import KINDS, TILES, matrices
from tinysegrank.nn.windows import Pair

CACHE = 2**20  # maximum number of entries in the transformed tiles of a chunk, so that they fit the cache
ENOUGH = 72  # with this many tiles per chunk, the time to load the filters from memory is negligible
FETCH = 24  # number of tiles whose products take as long as loading the filters from memory
JOB = 2**17  # minimum number of array entries per job
JOBS = 8  # maximum number of jobs per stage


class Geometry(NamedTuple):
    """Tiling of a convolution of stride 1.

    Attributes:
        kind: index into `KINDS`, the sizes (m, r) of tiles.
        before: rows of zeros above x, and columns of zeros to its left.
        tiles: number of tiles of one map, down and across.
        taps: (P, r * r) matrix that transforms a filter's taps to its values at the P points.
        chunk: number of images processed at a time.
    """

    kind: int
    before: Pair
    tiles: Pair
    taps: np.ndarray
    chunk: int

    def where(self, *, outputs: bool) -> dict[str, int | Pair]:
        """Return the positions of x's tiles, or y's with `outputs`, as fields of a program's step."""
        if outputs:
            return {"tiling": len(KINDS) + self.kind, "before": (0, 0), "tiles": self.tiles}
        return {"tiling": self.kind, "before": self.before, "tiles": self.tiles}

    def room(self, groups: int, channels: int) -> np.ndarray:
        """Return an empty array for the transformed tiles of one chunk, (G, P, M, C/G)."""
        places = self.chunk * self.tiles[0] * self.tiles[1]
        return np.empty((groups, len(self.taps), places, channels // groups), np.float32)


@lru_cache
def geometry(N: int, channels: int, out: Pair, r: int, padding: Pair) -> Geometry:
    """Choose the tiling for N images and r x r kernels; `channels` is the sum of input and output channels.

    The tile size minimises an estimate of the time per point: multiplying all tiles by the filters, and loading the
    filters from memory.
    """
    m = min(TILES[r], key=lambda m: (N * -(-out[0] // m) * -(-out[1] // m) + FETCH) * (m + r - 1) ** 2)
    tiles = (-(-out[0] // m), -(-out[1] // m))
    count, points = tiles[0] * tiles[1], (m + r - 1) ** 2
    taps = matrices(m, r).taps
    return Geometry(
        kind=KINDS.index((m, r)),
        before=padding,
        tiles=tiles,
        taps=np.kron(taps, taps).astype(np.float32),
        chunk=min(N, max(1, CACHE // (points * count * channels), -(-ENOUGH // count))),
    )


def chunks(N: int, size: int) -> list[slice]:
    """Return slices that cut N images into chunks of `size` images; the last may be smaller."""
    return [slice(start, min(N, start + size)) for start in range(0, N, size)]


def jobs(units: int, numbers: int) -> int:
    """Return the number of jobs for work on `numbers` array entries in `units` units; it ignores the thread count."""
    return min(units, JOBS, max(1, numbers // JOB))
