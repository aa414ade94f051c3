"""Choose the Winograd tiles of a convolution, and the number of images that are processed at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinysegrank.nn.arguments import Pair
from tinysegrank.nn.fast.cook_toom import KINDS, TILES
from tinysegrank.nn.fast.fold import folded_size
from tinysegrank.nn.fast.tiles import Tiling
from tinysegrank.nn.fast.transforms import LANES

CACHE = 2**20  # maximum number of entries in the points of a chunk, so that they fit the cache; ENOUGH comes first
ENOUGH = 72  # with this many tiles per chunk, the time to load the filters from memory is negligible
FETCH = 24  # number of tiles whose products take as long as loading the filters from memory


class Geometry(NamedTuple):
    """Tiles and chunks of a convolution whose stride has been folded into channels.

    Attributes:
        inputs: tiles of the input, which overlap.
        outputs: tiles of the output, which adjoin.
        chunk: number of images processed at a time.
    """

    inputs: Tiling
    outputs: Tiling
    chunk: int

    def room(self, groups: int, channels: int) -> np.ndarray:
        """Return a buffer (M, G, P, C/G) for the points of a chunk's M tiles, with C channels in G groups.

        C/G is rounded up to a multiple of LANES.
        """
        down, across = self.inputs.tiles
        vectors = -(-channels // groups // LANES)
        return np.zeros((self.chunk * down * across, groups, self.inputs.side**2, vectors * LANES), np.float32)


@lru_cache
def geometry(N: int, channels: int, out: Pair, K: int, stride: int, padding: Pair) -> Geometry:
    """Choose the tiles and chunks for N images and K x K filters, whose stride will be folded.

    `channels` is the number of input channels after folding plus the number of filters; `out` and `padding` are
    (height, width). The tile size minimises an estimate of the time to load the filters from memory and to multiply all
    tiles by them.
    """
    r = folded_size(K, stride)
    m = min(TILES[r], key=lambda m: (N * -(-out[0] // m) * -(-out[1] // m) + FETCH) * (m + r - 1) ** 2)
    kind, tiles = KINDS.index((m, r)), (-(-out[0] // m), -(-out[1] // m))
    count, points = tiles[0] * tiles[1], (m + r - 1) ** 2
    return Geometry(
        inputs=Tiling(kind, m + r - 1, m, padding if stride == 1 else (0, 0), tiles),  # folding adds the padding
        outputs=Tiling(kind, m, m, (0, 0), tiles),
        chunk=min(N, max(1, CACHE // (points * count * channels), -(-ENOUGH // count))),
    )
