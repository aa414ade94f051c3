"""Convolution and its windows: any shape against loops, exact adjoints, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nn import nn_loops as loops
from tests.nn.nn_strategies import Convolution, Pair, convolutions, pairs, seeds
from tests.operations import assert_close
from tinysegrank import nn
from tinysegrank.errors import ShapeError
from tinysegrank.nn import arguments, conv
from tinysegrank.testing import check_backward


@given(convolutions())
def test_any_convolution_is_what_loops_give(case: Convolution) -> None:
    y, _ = case.forward(case.x, case.weight, case.bias)
    assert_close(y, loops.conv2d(*case))


@given(convolutions(), seeds)
def test_each_gradient_is_the_adjoint_of_a_linear_map(case: Convolution, seed: int) -> None:
    """Convolution is linear in each input, so <g, conv of a change> = <gradient, change>, with nothing left out."""
    arrays = [case.x, case.weight, case.bias]
    y, context = case.forward(*arrays)
    rng = np.random.default_rng(seed)
    g = rng.standard_normal(y.shape)
    for index, gradient in enumerate(nn.conv2d_backward(g, context)):
        change = rng.standard_normal(arrays[index].shape)
        moved = [a + change if i == index else a for i, a in enumerate(arrays)]
        scale = np.linalg.norm(g) * (np.linalg.norm(case.forward(*moved)[0]) + np.linalg.norm(y)) + 1e-300
        assert abs(np.sum(g * (case.forward(*moved)[0] - y)) - np.sum(gradient * change)) <= 1e-12 * scale


@given(convolutions())
def test_gradients_by_finite_differences(case: Convolution) -> None:
    check_backward(case.forward, nn.conv2d_backward, [case.x, case.weight, case.bias])


@st.composite
def window_grids(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Pair, Pair]:
    """Integer maps and integer windows, so that sums are exact; some maps reach beyond the last window."""
    rng = np.random.default_rng(draw(seeds))
    kernel, stride, out, beyond = draw(pairs(1, 4)), draw(pairs(1, 4)), draw(pairs(1, 3)), draw(pairs(0, 2))
    size = [(o - 1) * s + k + b for o, s, k, b in zip(out, stride, kernel, beyond, strict=True)]
    C, N = draw(pairs(1, 2))
    x = rng.integers(-99, 99, (C, N, *size))
    return x, rng.integers(-99, 99, (C, kernel[0] * kernel[1], N, *out)), kernel, stride


@given(window_grids())
def test_extract_and_scatter_are_adjoint_exactly(grid: tuple[np.ndarray, np.ndarray, Pair, Pair]) -> None:
    x, weights, kernel, stride = grid
    extracted = nn.extract_windows(x, kernel, stride, weights.shape[-2:])
    scattered = nn.scatter_windows(weights, x.shape, kernel, stride)
    assert np.sum(extracted * weights) == np.sum(x * scattered)
    np.testing.assert_array_equal(extracted, loops.extract_windows(x, kernel, stride, weights.shape[-2:]))
    np.testing.assert_array_equal(scattered, loops.scatter_windows(weights, x.shape, kernel, stride))


# What is not wanted is not computed ----------------------------------------------------------------------------------


class Recorder:
    """An array namespace that notes which of its functions are called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.called.append(name)
        return getattr(np, name)


@pytest.fixture
def case(rng: np.random.Generator) -> Convolution:
    x, weight, bias = rng.standard_normal((2, 4, 5, 5)), rng.standard_normal((6, 2, 3, 3)), rng.standard_normal(6)
    return Convolution(x, weight, bias, (2, 1), (1, 0), 2)


@pytest.mark.parametrize("needs", list(np.ndindex(2, 2, 2)), ids=str)
def test_needs_leaves_out_what_is_not_wanted(case: Convolution, needs: tuple[int, int, int], rng: Any) -> None:
    y, context = case.forward(*case[:3])
    g = rng.standard_normal(y.shape)
    wanted = (bool(needs[0]), bool(needs[1]), bool(needs[2]))
    for need, found, full in zip(
        wanted, nn.conv2d_backward(g, context, needs=wanted), nn.conv2d_backward(g, context), strict=True
    ):
        if need:
            np.testing.assert_array_equal(found, full)
        else:
            assert found is None


def test_needs_does_no_work_for_what_is_not_wanted(
    case: Convolution, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, context = case.forward(*case[:3])
    g = rng.standard_normal(y.shape)
    without_columns = context._replace(columns=None)
    nn.conv2d_backward(g, without_columns, needs=(True, False, True))
    with pytest.raises((AttributeError, TypeError, ValueError)):
        nn.conv2d_backward(g, without_columns, needs=(False, True, False))
    recorder = Recorder()
    monkeypatch.setattr(conv, "array_namespace", lambda *_: recorder)
    assert nn.conv2d_backward(g, context, needs=(False, False, False)) == (None, None, None)
    assert set(recorder.called) == {"permute_dims", "reshape"}
    monkeypatch.setattr(conv, "scatter_windows", lambda *_: pytest.fail("the gradient of x was not wanted"))
    nn.conv2d_backward(g, context, needs=(False, True, True))
    assert "sum" in recorder.called


# Bad input -----------------------------------------------------------------------------------------------------------


def _bad_convolutions() -> Iterator[Any]:
    x, weight, bias = np.ones((1, 4, 5, 5)), np.ones((2, 4, 3, 3)), np.ones(2)
    yield pytest.param((x[0], weight, bias), {}, r"x \(N, C, H, W\).*\(4, 5, 5\)", id="rank of x")
    yield pytest.param((x, weight[0], bias), {}, "weight", id="rank of weight")
    yield pytest.param((x, weight, bias[0]), {}, "bias", id="rank of bias")
    yield pytest.param((x, np.float64(1.0)), {}, "weight", id="scalar weight without bias")
    yield pytest.param((x, weight[:, :, :0]), {}, "weight", id="empty kernel without bias")
    yield pytest.param((x, weight.astype("f4"), bias), {}, "float64, weight float32", id="dtype")
    yield pytest.param((x, weight[:, :3], bias), {}, "expected weight .F, 4,", id="channels")
    yield pytest.param((x, weight, np.ones(3)), {}, r"bias \(3,\)", id="length of bias")
    yield pytest.param((x, weight, bias), {"groups": 0}, "groups=0", id="no groups")
    yield pytest.param((x, weight, bias), {"groups": 3}, "groups=3 must divide", id="groups that do not divide")
    yield pytest.param((x, weight[:, :1], bias), {"groups": 4}, "groups=4 must", id="groups that divide channels only")
    yield pytest.param((x[:, :3], weight, bias), {"groups": 2}, "groups=2 must", id="groups that divide filters only")
    yield pytest.param((x, weight, bias), {"groups": 2}, "in 2 groups", id="weight for other groups")
    yield pytest.param((x[:, :, :2], weight, bias), {}, "kernel of 3 does not fit a map of 2", id="map too small")
    large = np.ones((2, 4, 4, 4))
    yield pytest.param((x[:, :, :1], large, bias), {"padding": 1}, "map of 1 with padding 1", id="padding too small")
    yield pytest.param((x, weight, bias), {"stride": 0}, "stride=0", id="stride 0")
    yield pytest.param((x, weight, bias), {"padding": -1}, "padding=-1", id="negative padding")
    yield pytest.param((x, weight, bias), {"stride": 1.5}, "stride=1.5", id="stride that is no integer")
    yield pytest.param((x, weight, bias), {"stride": (1, 2, 3)}, "two", id="three strides")


@pytest.mark.parametrize(("arrays", "options", "message"), list(_bad_convolutions()))
def test_bad_input_is_refused(arrays: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        nn.conv2d(*arrays, **options)


@pytest.mark.parametrize("value", [2, np.int64(2), (2, 2), [2, 2], np.array(2)], ids=repr)
def test_an_option_is_an_integer_or_two(value: Any) -> None:
    assert arguments.pair(value, name="stride", least=1) == (2, 2)
