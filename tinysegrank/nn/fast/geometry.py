"""Choice of Winograd tiles for a convolution, and of the number of images that are processed at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.cook_toom import KINDS, TILES
from tinysegrank.nn.fast.fold import Shape, folded_size
from tinysegrank.nn.fast.transforms import LANES

CACHE = 2**20  # maximum number of entries in the points of a chunk, so that they fit the cache
ENOUGH = 72  # with this many tiles per chunk, the time to load the filters from memory is negligible
FETCH = 24  # number of tiles whose products take as long as loading the filters from memory


class Geometry(NamedTuple):
    """Tiles of the maps of a convolution F(m, r), counted after its stride is folded into channels.

    Attributes:
        kind: index of (m, r) in `KINDS`.
        step: distance in pixels from one tile to the next, m.
        side: of a tile in pixels: m + r - 1 in the input, where tiles overlap, and m in the output.
        before: rows of zeros above the maps, and columns of zeros to their left.
        tiles: number of tiles down and across.
        chunk: number of images processed at a time.
    """

    kind: int
    step: int
    side: int
    before: Pair
    tiles: Pair
    chunk: int

    @property
    def outputs(self) -> Geometry:
        """Tiles of the output, given those of the input."""
        return self._replace(side=self.step, before=(0, 0))

    def room(self, groups: int, channels: int) -> np.ndarray:
        """Return an array for the points of one chunk, (M, G, P, C/G), with C/G rounded up to a multiple of LANES."""
        down, across = self.tiles
        vectors = -(-channels // groups // LANES)
        return np.zeros((self.chunk * down * across, groups, self.side**2, vectors * LANES), np.float32)


@lru_cache
def geometry(N: int, filters: Shape, groups: int, out: Pair, stride: int, padding: Pair) -> Geometry:
    """Choose the tiles of the input of N images, for filters of shape (F, C/G, K, K).

    The tile size minimises an estimate of the time per point: multiplying all tiles by the filters, and loading the
    filters from memory.
    """
    F, C, K, _ = filters
    r, channels = folded_size(K, stride), groups * C * stride**2 + F
    m = min(TILES[r], key=lambda m: (N * -(-out[0] // m) * -(-out[1] // m) + FETCH) * (m + r - 1) ** 2)
    tiles, points = (-(-out[0] // m), -(-out[1] // m)), (m + r - 1) ** 2
    count = tiles[0] * tiles[1]
    chunk = min(N, max(1, CACHE // (points * count * channels), -(-ENOUGH // count)))
    before = padding if stride == 1 else (0, 0)  # folded maps include the padding
    return Geometry(KINDS.index((m, r)), m, m + r - 1, before, tiles, chunk)
