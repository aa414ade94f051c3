"""Choice of Winograd tiles for a convolution, and of the number of images that are processed at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.cook_toom import KINDS, TILES
from tinysegrank.nn.fast.tiles import Tiling
from tinysegrank.nn.fast.transforms import LANES

CACHE = 2**20  # maximum number of entries in the points of a chunk, so that they fit the cache
ENOUGH = 72  # with this many tiles per chunk, the time to load the filters from memory is negligible
FETCH = 24  # number of tiles whose products take as long as loading the filters from memory


class Geometry(NamedTuple):
    """Tiling of a convolution of stride 1.

    Attributes:
        inputs: tiles of the input, which overlap.
        outputs: tiles of the output, which lie side by side.
        chunk: number of images processed at a time.
    """

    inputs: Tiling
    outputs: Tiling
    chunk: int

    def room(self, groups: int, channels: int) -> np.ndarray:
        """Return an array for the points of one chunk, (M, G, P, C/G), with C/G rounded up to a multiple of LANES."""
        down, across = self.inputs.tiles
        vectors = -(-channels // groups // LANES)
        return np.zeros((self.chunk * down * across, groups, self.inputs.side**2, vectors * LANES), np.float32)


@lru_cache
def geometry(N: int, channels: int, out: Pair, r: int, padding: Pair) -> Geometry:
    """Choose the tiling for N images and r x r kernels; `channels` is the sum of input and output channels.

    The tile size minimises an estimate of the time per point: multiplying all tiles by the filters, and loading the
    filters from memory.
    """
    m = min(TILES[r], key=lambda m: (N * -(-out[0] // m) * -(-out[1] // m) + FETCH) * (m + r - 1) ** 2)
    kind, tiles = KINDS.index((m, r)), (-(-out[0] // m), -(-out[1] // m))
    count, points = tiles[0] * tiles[1], (m + r - 1) ** 2
    return Geometry(
        inputs=Tiling(kind, m + r - 1, m, padding, tiles),
        outputs=Tiling(kind, m, m, (0, 0), tiles),
        chunk=min(N, max(1, CACHE // (points * count * channels), -(-ENOUGH // count))),
    )
