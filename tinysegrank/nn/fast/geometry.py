"""How a convolution is cut into tiles, and its work into chunks and jobs."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinysegrank.nn.fast.cook_toom import KINDS, TILES, matrices
from tinysegrank.nn.windows import Pair

CACHE = 2**20  # numbers that the tiles of one chunk of images may take
ENOUGH = 72  # tiles of one chunk for which fetching the filters hardly counts
FETCH = 24  # tiles whose products take as long as it takes to fetch the filters from memory
JOB = 2**17  # numbers that are worth a job of their own
JOBS = 8  # of one stage, at most


class Geometry(NamedTuple):
    """The tiles of a convolution of stride 1.

    Attributes:
        kind: of tiles, among `KINDS`.
        before: zeros above and to the left of x.
        tiles: of one map, down and across.
        taps: (P, r * r), from the taps of a filter to its values at the P points.
        chunk: how many images are treated at a time.
    """

    kind: int
    before: Pair
    tiles: Pair
    taps: np.ndarray
    chunk: int

    def where(self, *, outputs: bool) -> dict[str, int | Pair]:
        """Where the tiles of x lie, or those of y, for a step that cuts them."""
        if outputs:
            return {"tiling": len(KINDS) + self.kind, "before": (0, 0), "tiles": self.tiles}
        return {"tiling": self.kind, "before": self.before, "tiles": self.tiles}

    def room(self, groups: int, channels: int) -> np.ndarray:
        """Room for the values of one chunk, (G, P, M, C/G)."""
        places = self.chunk * self.tiles[0] * self.tiles[1]
        return np.empty((groups, len(self.taps), places, channels // groups), np.float32)


@lru_cache
def geometry(N: int, channels: int, out: Pair, r: int, padding: Pair) -> Geometry:
    """Choose the tiles for N maps, `channels` of input and output together, and kernels of r x r.

    The tile size is the one that takes the least time: at each point, the products of all tiles with the filters, and
    the filters have to be fetched from memory.
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
    """Cut N images into chunks."""
    return [slice(start, min(N, start + size)) for start in range(0, N, size)]


def jobs(units: int, numbers: int) -> int:
    """How many jobs to make of work on so many units and numbers; the same for any number of threads."""
    return min(units, JOBS, max(1, numbers // JOB))
