"""Helpers of the tests of Numba versions: arrays in every layout, and the tolerance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

TOLERANCE = 1e-4  # of the largest entry; the Numba versions' docstrings state it

LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "mirrored": lambda x: x[:, :, :, ::-1],
    "every other": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "in columns": np.asfortranarray,
}
layouts = st.sampled_from(list(LAYOUTS.values()))


def assert_near(actual: np.ndarray, exact: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert actual.shape == exact.shape and actual.dtype == np.float32
    assert np.max(np.abs(actual - exact)) <= tolerance * np.max(np.abs(exact))


def both_ways(run: Callable[[], tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the results of `run()` without and with acceleration."""
    results = []
    for accelerate in "01":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TINYSEGRANK_ACCELERATE", accelerate)
            results.append(run())
    return results
