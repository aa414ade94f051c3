"""Max pooling: window arithmetic, ties, windows over the edge, any shape against loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from tests.nn import nn_loops as loops
from tests.nn.nn_strategies import Pooling, poolings
from tests.operations import assert_close
from tinysegrank import nn
from tinysegrank.errors import ShapeError
from tinysegrank.testing import check_backward


@given(poolings())
def test_any_pooling_is_what_loops_give(case: Pooling) -> None:
    y, context = case.forward(case.x)
    np.testing.assert_array_equal(y, loops.max_pool2d(*case))
    g = np.random.default_rng(0).standard_normal(y.shape)
    assert_close(nn.max_pool2d_backward(g, context), loops.max_pool2d_backward(g, *case))
    check_backward(case.forward, nn.max_pool2d_backward, [case.x])


@given(poolings(ties=True))
def test_ties_go_to_the_first_maximum(case: Pooling) -> None:
    y, context = case.forward(case.x)
    np.testing.assert_array_equal(y, loops.max_pool2d(*case))
    g = np.random.default_rng(0).integers(1, 99, y.shape).astype(float)  # exact sums, none of them 0
    np.testing.assert_array_equal(nn.max_pool2d_backward(g, context), loops.max_pool2d_backward(g, *case))


@pytest.mark.parametrize("ceil_mode", [True, False])
def test_output_size_of_every_small_map(ceil_mode: bool) -> None:
    for length, size, stride in np.ndindex(13, 5, 5):
        length, size, stride = length + 1, size + 1, stride + 1
        starts = loops.window_starts(length, size, stride, ceil_mode)
        options: dict[str, Any] = {"size": (size, 1), "stride": (stride, 1), "ceil_mode": ceil_mode}
        if starts:
            y, context = nn.max_pool2d(np.arange(float(length)).reshape(1, 1, -1, 1), **options)
            assert y[0, 0, :, 0].tolist() == [min(s + size, length) - 1 for s in starts]
            assert nn.max_pool2d_backward(np.ones_like(y), context).shape == (1, 1, length, 1)
        else:
            with pytest.raises(ShapeError, match=f"window of {size} with stride {stride} does not fit"):
                nn.max_pool2d(np.zeros((1, 1, length, 1)), **options)


@pytest.mark.parametrize(("side", "up", "down"), [(55, 27, 27), (56, 28, 27), (27, 13, 13), (28, 14, 13), (13, 6, 6)])
def test_sizes_on_the_way_of_227_and_231(side: int, up: int, down: int, rng: np.random.Generator) -> None:
    """227 gives maps of 55, 27 and 13, where both roundings agree; 231 gives 56 and 28, where they do not."""
    x = rng.permutation(side * side).astype(np.float32).reshape(1, 1, side, side)
    for ceil_mode, expected in ((True, up), (False, down)):
        y, context = nn.max_pool2d(x, size=3, stride=2, ceil_mode=ceil_mode)
        assert y.shape == (1, 1, expected, expected)
        np.testing.assert_array_equal(y, loops.max_pool2d(x, ceil_mode=ceil_mode))
        gx = nn.max_pool2d_backward(np.ones_like(y), context)
        np.testing.assert_array_equal(gx, loops.max_pool2d_backward(np.ones_like(y), x, ceil_mode=ceil_mode))
        assert gx.sum() == y.size


def test_negative_maps_and_infinities_are_not_padded() -> None:
    x = np.full((1, 1, 4, 4), -np.inf)
    x[0, 0, 3, 3] = -1e300
    y, context = nn.max_pool2d(x)
    np.testing.assert_array_equal(y[0, 0], [[-np.inf, -np.inf], [-np.inf, -1e300]])
    gx = nn.max_pool2d_backward(np.arange(1.0, 5).reshape(1, 1, 2, 2), context)
    np.testing.assert_array_equal(np.argwhere(gx[0, 0]), [[0, 0], [0, 2], [2, 0], [3, 3]])


def test_a_nan_makes_its_windows_nan() -> None:
    x = np.zeros((1, 1, 5, 5))
    x[0, 0, 2, 2] = np.nan
    assert np.isnan(nn.max_pool2d(x)[0]).all()
    x[0, 0, 2, 2], x[0, 0, 0, 0] = 0.0, np.nan
    np.testing.assert_array_equal(np.isnan(nn.max_pool2d(x)[0][0, 0]), [[True, False], [False, False]])


def test_bad_input_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"x \(N, C, H, W\), not \(3, 3\)"):
        nn.max_pool2d(np.zeros((3, 3)))
    with pytest.raises(ShapeError, match="size=0"):
        nn.max_pool2d(np.zeros((1, 1, 3, 3)), size=0)
    with pytest.raises(ShapeError, match="stride=0"):
        nn.max_pool2d(np.zeros((1, 1, 3, 3)), stride=0)
    with pytest.raises(ShapeError, match="window of 5"):
        nn.max_pool2d(np.zeros((1, 1, 3, 3)), size=5, ceil_mode=False)
