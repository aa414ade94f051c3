"""The accelerated twins against the readable functions in float64, on any shape, layout and number of threads."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nn_strategies import seeds
from threadpoolctl import threadpool_limits

from tinysegrank import nn
from tinysegrank.errors import ShapeError
from tinysegrank.nn.conv import ConvContext
from tinysegrank.nn.fast import TileContext, cook_toom

TOLERANCE = 1e-4  # of the largest entry; the twin's docstring states it

LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "mirrored": lambda x: x[:, :, :, ::-1],
    "every other": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "in columns": np.asfortranarray,
}


class Case(NamedTuple):
    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    gradient: np.ndarray
    padding: tuple[int, int]
    groups: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Convolutions that the twin takes: odd sizes, groups, batches of 1, images in every layout."""
    rng = np.random.default_rng(draw(seeds))
    N, groups = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    C, F = (draw(st.integers(8, 19)) for _ in range(2))
    KH, KW = (draw(st.integers(2, 5)) for _ in range(2))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    H, W = (draw(st.integers(max(1, k - 2 * p), 16)) for k, p in zip((KH, KW), padding, strict=True))
    out = (H + 2 * padding[0] - KH + 1, W + 2 * padding[1] - KW + 1)
    shapes = (N, groups * C, H, W), (groups * F, C, KH, KW), (groups * F,), (N, groups * F, *out)
    x, weight, bias, gradient = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    layouts = st.sampled_from(list(LAYOUTS.values()))
    x, gradient = draw(layouts)(x), draw(layouts)(gradient)
    x.flags.writeable = False
    return Case(x, weight, bias, gradient, padding, groups)


def assert_near(actual: np.ndarray, exact: np.ndarray) -> None:
    assert actual.shape == exact.shape and actual.dtype == np.float32
    assert np.max(np.abs(actual - exact)) <= TOLERANCE * np.max(np.abs(exact))


def forward(case: Case):
    return nn.conv2d(case.x, case.weight, case.bias, padding=case.padding, groups=case.groups)


@given(cases())
def test_tiles_give_what_the_definition_gives(case: Case) -> None:
    y, context = forward(case)
    assert isinstance(context, TileContext)
    wide = case._replace(**{name: getattr(case, name).astype(float) for name in ("x", "weight", "bias", "gradient")})
    exact, exact_context = forward(wide)
    assert isinstance(exact_context, ConvContext)
    assert_near(y, exact)
    gradients = nn.conv2d_backward(wide.gradient, exact_context)
    for actual, expected in zip(nn.conv2d_backward(case.gradient, context), gradients, strict=True):
        assert_near(actual, expected)


@given(cases())
def test_what_is_needed_does_not_depend_on_what_else_is(case: Case) -> None:
    _, context = forward(case)
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
            y, context = forward(case)
            results.append([y, *nn.conv2d_backward(case.gradient, context)])
    for first, *others in zip(*results, strict=True):
        assert all(np.array_equal(first, other) for other in others)


def test_a_long_line_of_tiles_stays_within_the_tolerance(rng: np.random.Generator) -> None:
    """The largest sums of SegNet: 256 positive channels."""
    x = np.maximum(rng.standard_normal((4, 256, 13, 13), dtype=np.float32), 0)
    weight, bias = rng.standard_normal((32, 256, 3, 3), dtype=np.float32), np.zeros(32, np.float32)
    case = Case(x, weight, bias, np.empty(0), (1, 1), 1)
    exact = nn.conv2d(x.astype(float), weight.astype(float), bias.astype(float), padding=1)[0]
    assert_near(forward(case)[0], exact)


@pytest.mark.parametrize(("m", "r"), [(n + 1 - r, r) for n in cook_toom.POINTS for r in range(1, n + 1)])
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
    assert isinstance(nn.conv2d(*narrow, stride=2)[1], ConvContext)
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0")
    y, context = nn.conv2d(*narrow)
    assert isinstance(context, ConvContext)
    np.testing.assert_allclose(y, nn.conv2d(*arrays)[0], atol=1e-4)


def test_a_gradient_of_another_shape_is_refused(rng: np.random.Generator) -> None:
    y, context = nn.conv2d(*(rng.standard_normal(s, dtype=np.float32) for s in ((2, 8, 5, 5), (8, 8, 3, 3), (8,))))
    with pytest.raises(ShapeError, match=r"\(2, 8, 3, 4\)"):
        nn.conv2d_backward(y[..., :1].repeat(4, axis=3), context)
    y, context = nn.relu(y)
    with pytest.raises(ShapeError, match=r"\(1, 8, 3, 3\)"):
        nn.relu_backward(y[:1], context)


@given(
    st.tuples(*[st.integers(1, 5)] * 4),
    st.floats(0.01, 0.99),
    seeds,
    st.sampled_from(list(LAYOUTS.values())),
    st.data(),
)
def test_dropout_and_relu_to_the_bit(shape, p, seed, layout, data) -> None:
    x = layout(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))
    first = data.draw(st.integers(0, 3))  # float32 drawn before: an odd number leaves half a draw
    made = data.draw(st.sampled_from([np.random.PCG64, np.random.Philox]))
    results = []
    for accelerate in "01":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TINYSEGRANK_ACCELERATE", accelerate)
            rng = np.random.Generator(made(seed))
            rng.random(first, dtype=np.float32)
            y, scale = nn.dropout(x, p=p, rng=rng)
            positive, context = nn.relu(x)
            gradient = nn.relu_backward(nn.dropout_backward(y, scale), context)
            results.append([y, scale, positive, gradient, rng.random(3, dtype=np.float32), rng.random(3)])
    for readable, twin in zip(*results, strict=True):
        np.testing.assert_array_equal(readable, twin)


@given(st.integers(1, 2**24 - 1))
def test_dropout_keeps_exactly_the_numbers_that_reach_p(k: int) -> None:
    """p at and beside the multiples of 2^-24 that a float32 of `random` can be."""
    x = np.ones(2, np.float32)
    numbers = np.random.default_rng(k).random(2, dtype=np.float32)
    assume(0 < numbers[0] < 1)
    for p in (float(numbers[0]), float(np.nextafter(numbers[0], np.float32(1)))):
        assume(p < 1)
        y, _ = nn.dropout(x, p=p, rng=np.random.default_rng(k))
        np.testing.assert_array_equal(y > 0, numbers >= np.float32(p))


def test_importing_the_package_compiles_nothing() -> None:
    code = "import sys, tinysegrank.segnet; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
