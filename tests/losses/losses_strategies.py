"""Batches for the losses, as hypothesis draws them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st


class Batch(NamedTuple):
    z: np.ndarray
    target: np.ndarray
    weight: np.ndarray


@st.composite
def batches(draw: st.DrawFn, *, scales: tuple[float, ...] = (0.0, 1.0, 30.0, 1e4, 1e30), void: float = 0.3) -> Batch:
    """One class, one cell and one image among them; hard, soft, absent and barely present classes; any share void."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    N, K, H, W = draw(st.integers(1, 2)), draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    concentration = np.where(rng.random(K) < 0.7, draw(st.sampled_from([1e-2, 1.0])), 1e-9)
    target = np.nan_to_num(rng.dirichlet(concentration + 1e-12, (N, H, W)))  # so small, one takes all or underflows
    target[..., 0] += 1 - target.sum(axis=-1)
    z = draw(st.sampled_from(scales)) * rng.uniform(-1, 1, (N, K, H, W))
    weight = np.where(
        rng.random((N, H, W)) < draw(st.sampled_from([0.0, void, 1.0])), 0, rng.uniform(0.1, 1, (N, H, W))
    )
    return Batch(*(a.astype(dtype) for a in (z, target.transpose(0, 3, 1, 2), weight)))
