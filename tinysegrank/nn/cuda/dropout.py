"""CUDA version of `dropout`: each thread jumps to its own place in the stream of NumPy's PCG64.

Source: Brown, "Random number generation with arbitrary strides", 1994, for the jump; O'Neill, "PCG", 2014, XSL-RR.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.cuda.kernel import Kernel, contiguous, empty

_DROPOUT = Kernel(
    "tinysegrank_dropout",  # i is a draw of 64 random bits, for the entries 2 i and 2 i + 1
    "const float* x, float* y, float* scale, unsigned long long state_high, unsigned long long state_low, "
    "unsigned long long step_high, unsigned long long step_low, int limit, float factor",
    """
    typedef unsigned __int128 u128;
    typedef unsigned long long u64;
    u128 state = (u128)state_high << 64 | state_low, plus = (u128)step_high << 64 | step_low, sum = 0, product = 1;
    u128 times = (u128)2549297995355413924ULL << 64 | 4865540595714422341ULL;  // a step: state * times + plus
    for (int steps = i + 1; steps; steps >>= 1) {
        if (steps & 1) { product *= times; sum = sum * times + plus; }
        plus *= times + 1;
        times *= times;
    }
    state = product * state + sum;
    u64 mixed = (u64)(state >> 64) ^ (u64)state;
    int turn = (int)(state >> 122);
    mixed = mixed >> turn | mixed << (-turn & 63);
    for (int half = 0; half < 2; ++half, mixed >>= 32) {
        int entry = 2 * i + half, drawn = (unsigned)mixed >> 8;  // NumPy's float32 is drawn / 2^24
        scale[entry] = drawn >= limit ? factor : 0.0f;
        y[entry] = x[entry] * scale[entry];
    }
""",
)


def can_jump(rng: np.random.Generator, size: int) -> bool:
    """Return whether `dropout` can draw `size` float32: an even number, from a PCG64 without half a draw left over."""
    source = getattr(rng, "bit_generator", None)
    return isinstance(source, np.random.PCG64) and size % 2 == 0 and not source.state["has_uint32"]


def dropout(x: Array, *, p: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """CUDA version of `nn.dropout` in training, for an x and rng with `can_jump(rng, x.size)`.

    Return x times the multipliers, and the multipliers, 0 or 1 / (1 - p); advance rng by x.size / 2 draws of 64 bits.
    """
    source: Any = rng.bit_generator
    y, scale, held = empty(x.shape), empty(x.shape), source.state["state"]
    bits = [np.uint64(held[name] >> shift & 2**64 - 1) for name in ("state", "inc") for shift in (64, 0)]
    limit = int(np.ceil(float(np.float32(p)) * 2**24))
    _DROPOUT(x.size // 2, contiguous(x), y, scale, *bits, limit, 1.0 / (1.0 - p))
    source.advance(x.size // 2)
    return y, scale
