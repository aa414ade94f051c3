"""`nn.dropout` on several threads, equal to it to the bit: each thread draws the numbers of its own images."""

from __future__ import annotations

from typing import cast

import numpy as np

from tinysegrank.nn.fast.threads import share


def can_jump(rng: np.random.Generator, x: np.ndarray) -> bool:
    """Return whether the generator can jump to the numbers of any image.

    PCG64 can be advanced. It generates 64 bits at a time, and NumPy makes two float32 of them, so an image needs an
    even number of entries, and no half may be left over from before.
    """
    source = getattr(rng, "bit_generator", None)
    even = x.ndim == 4 and x[0].size % 2 == 0
    return even and isinstance(source, np.random.PCG64) and not source.state["has_uint32"]


def dropout(x: np.ndarray, *, p: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Version of `nn.dropout` for training, where `can_jump`.

    x       | (N, C, H, W) | float32 | activations
    returns | (N, C, H, W) | float32 | channels last in memory, as the next convolution needs it
    and the multipliers, 0 or 1 / (1 - p) for each entry.
    """
    (N, C, H, W), source = x.shape, cast("np.random.PCG64", rng.bit_generator)
    state, factor = source.state, np.float32(1.0 / (1.0 - p))
    y, scale = np.empty((N, H, W, C), np.float32), np.empty((N, H, W, C), np.float32)

    def drop(start: int, stop: int) -> None:
        ahead = np.random.PCG64(0)
        ahead.state = state
        drawn = np.random.Generator(ahead.advance(start * C * H * W // 2)).random((stop - start, C, H, W), np.float32)
        keep = np.ascontiguousarray((drawn >= np.float32(p)).transpose(0, 2, 3, 1))  # (images, H, W, C)
        np.multiply(keep, factor, out=scale[start:stop])
        np.multiply(x[start:stop].transpose(0, 2, 3, 1), scale[start:stop], out=y[start:stop])

    share(drop, N, x.size)
    source.advance(x.size // 2)
    return y.transpose(0, 3, 1, 2), scale.transpose(0, 3, 1, 2)
