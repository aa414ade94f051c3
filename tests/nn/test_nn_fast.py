"""The Numba version of convolution against the readable one in float64, on any shape, layout and number of threads."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from tests.nn.nn_strategies import seeds
from tests.nn.nn_versions import assert_near, layouts
from tinysegrank import nn
from tinysegrank.nn.arguments import ConvContext
from tinysegrank.nn.fast import TileContext, cook_toom

pytestmark = pytest.mark.slow


class Case(NamedTuple):
    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    gradient: np.ndarray
    stride: int
    padding: tuple[int, int]
    groups: int

    def forward(self):
        return nn.conv2d(self.x, self.weight, self.bias, stride=self.stride, padding=self.padding, groups=self.groups)

    def in_float64(self) -> Case:
        names = ("x", "weight", "bias", "gradient")
        return self._replace(**{name: getattr(self, name).astype(float) for name in names})


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Convolutions that the Numba version supports: odd sizes, groups, batches of 1, images in every layout."""
    rng = np.random.default_rng(draw(seeds))
    N, groups, stride = draw(st.integers(1, 9)), draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2, 4]))
    C, F = draw(st.integers(-(-8 // stride**2), 19 // stride)), draw(st.integers(8, 19))
    K = draw(st.sampled_from([3, 5])) * stride - draw(st.integers(0, stride - 1))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    H, W = (draw(st.integers(max(1, K - 2 * p), max(16, K + 2))) for p in padding)
    out = tuple((length + 2 * p - K) // stride + 1 for length, p in zip((H, W), padding, strict=True))
    shapes = (N, groups * C, H, W), (groups * F, C, K, K), (groups * F,), (N, groups * F, *out)
    x, weight, bias, gradient = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    x, gradient = draw(layouts)(x), draw(layouts)(gradient)
    bias = np.repeat(bias, 2)[::2] if draw(st.booleans()) else bias
    x.flags.writeable = False
    return Case(x, weight, bias, gradient, stride, padding, groups)


@given(cases())
def test_tiles_give_what_the_definition_gives(case: Case) -> None:
    y, context = case.forward()
    assert isinstance(context, TileContext)
    wide = case.in_float64()
    exact, exact_context = wide.forward()
    assert isinstance(exact_context, ConvContext)
    assert_near(y, exact)
    gradients = nn.conv2d_backward(wide.gradient, exact_context)
    for actual, expected in zip(nn.conv2d_backward(case.gradient, context), gradients, strict=True):
        assert_near(actual, expected)


@given(cases())
def test_what_is_needed_does_not_depend_on_what_else_is(case: Case) -> None:
    _, context = case.forward()
    everything = nn.conv2d_backward(case.gradient, context)
    for needs in itertools.product((False, True), repeat=3):
        for need, part, whole in zip(
            needs, nn.conv2d_backward(case.gradient, context, needs=needs), everything, strict=True
        ):
            assert np.array_equal(part, whole) if need else part is None


@given(cases())
def test_any_number_of_threads_gives_the_same_bits(case: Case) -> None:
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            y, context = case.forward()
            results.append([y, *nn.conv2d_backward(case.gradient, context)])
    for first, *others in zip(*results, strict=True):
        assert all(np.array_equal(first, other) for other in others)


def test_a_long_line_of_tiles_stays_within_the_tolerance(rng: np.random.Generator) -> None:
    """The largest sums of SegNet: 256 positive channels."""
    x = np.maximum(rng.standard_normal((4, 256, 13, 13), dtype=np.float32), 0)
    weight, bias = rng.standard_normal((32, 256, 3, 3), dtype=np.float32), np.zeros(32, np.float32)
    case = Case(x, weight, bias, np.empty(0), 1, (1, 1), 1)
    assert_near(case.forward()[0], case.in_float64().forward()[0])


@pytest.mark.parametrize(("m", "r"), [(m, r) for r, sizes in cook_toom.TILES.items() for m in sizes])
def test_the_matrices_correlate_exactly(m: int, r: int, rng: np.random.Generator) -> None:
    outputs, taps, inputs = cook_toom.matrices(m, r)
    d, g = rng.standard_normal(m + r - 1), rng.standard_normal(r)
    np.testing.assert_allclose(outputs @ ((taps @ g) * (inputs @ d)), np.correlate(d, g), atol=1e-12)


def test_only_float32_and_only_where_accelerated(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    arrays = [rng.standard_normal(shape) for shape in ((2, 8, 5, 5), (8, 8, 3, 3), (8,))]
    narrow = [array.astype(np.float32) for array in arrays]
    assert isinstance(nn.conv2d(*narrow)[1], TileContext)
    for dtype in (np.float64, np.complex64):
        assert isinstance(nn.conv2d(*(array.astype(dtype) for array in arrays))[1], ConvContext)
    assert isinstance(nn.conv2d(*narrow, stride=3)[1], ConvContext)  # one tap is left of the kernel
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0")
    y, context = nn.conv2d(*narrow)
    assert isinstance(context, ConvContext)
    np.testing.assert_allclose(y, nn.conv2d(*arrays)[0], atol=1e-4)


def test_importing_the_package_compiles_nothing() -> None:
    code = "import sys, tinysegrank.segnet; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
