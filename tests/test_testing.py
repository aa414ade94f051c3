"""The gradient checker: it accepts right gradients and catches planted mistakes, saying where they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinysegrank import losses, nn
from tinysegrank.testing import STEP, GradientError, check_backward

methods = pytest.mark.parametrize("method", STEP)


def product(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Any]:
    """x^2 y, an analytic function of two inputs."""
    return x * x * y, (x, y)


def product_backward(gradient: np.ndarray, context: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = context
    return 2 * x * y * gradient, x * x * gradient


@pytest.fixture
def arrays(rng: np.random.Generator) -> list[np.ndarray]:
    return list(rng.standard_normal((2, 3, 4)))


# What is right passes ------------------------------------------------------------------------------------------------


@methods
@given(shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), seed=st.integers(0, 2**32 - 1))
def test_right_gradients_of_any_shape_pass(method: str, shape: tuple[int, ...], seed: int) -> None:
    """Scalars and empty arrays too."""
    x, y = np.random.default_rng(seed).standard_normal((2, *shape))
    check_backward(product, product_backward, [x, y], method=method, directions=2)


@methods
def test_a_loss_with_a_0_d_result_passes(method: str, rng: np.random.Generator) -> None:
    z, target = rng.standard_normal((1, 3, 2, 2)), rng.dirichlet(np.ones(3), (1, 2, 2)).transpose(0, 3, 1, 2)

    def forward(z: np.ndarray) -> tuple[Any, Any]:
        return losses.uoi(z, target.astype(z.dtype))

    check_backward(forward, lambda gradient, grad_z: gradient * grad_z, [z], method=method)
    with pytest.raises(GradientError):
        check_backward(forward, lambda gradient, grad_z: gradient * grad_z + 1e-3, [z], method=method)


def test_python_numbers_lists_and_float32_become_float64() -> None:
    seen = []

    def forward(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Any]:
        seen.append((x.dtype, y.dtype))
        return product(x, y)

    check_backward(forward, product_backward, [[1, 2], np.array([0.1, 0.2], np.float32)])
    assert set(seen) == {(np.dtype(np.float64),) * 2}


def test_an_input_without_a_gradient_is_not_checked(arrays: list[np.ndarray]) -> None:
    check_backward(product, lambda g, context: (product_backward(g, context)[0], None), arrays)
    with pytest.raises(GradientError, match="of input 0 is wrong"):
        check_backward(product, lambda g, context: (2.1 * product_backward(g, context)[0], None), arrays)
    with pytest.raises(GradientError, match="of input 1 is wrong"):  # those after it are
        check_backward(product, lambda g, context: (None, 2.1 * product_backward(g, context)[1]), arrays)


def test_a_nan_that_stays_is_no_change() -> None:
    known = np.array([1.0, np.nan, 3.0])
    check_backward(
        lambda x, y: (np.where(np.isnan(y), 0.0, x * x), (x, y)),
        lambda g, context: (np.where(np.isnan(context[1]), 0.0, 2 * context[0] * g), None),
        [np.array([0.5, 1.5, 2.5]), known],
    )


def test_the_complex_step_is_exact_where_differences_are_not(arrays: list[np.ndarray]) -> None:
    """An error of 1e-9 is below what differences can see, and far above rounding."""

    def slightly_wrong(gradient: np.ndarray, context: Any) -> Any:
        gx, gy = product_backward(gradient, context)
        return gx * (1 + 1e-9), gy

    check_backward(product, slightly_wrong, arrays)
    with pytest.raises(GradientError, match="complex-step"):
        check_backward(product, slightly_wrong, arrays, method="complex-step")


def test_step_and_tolerance_may_be_given(arrays: list[np.ndarray]) -> None:
    wrong = partial(lambda factor, g, context: tuple(factor * a for a in product_backward(g, context)), 1.01)
    with pytest.raises(GradientError):
        check_backward(product, wrong, arrays)
    check_backward(product, wrong, arrays, tolerance=0.1)

    def rippled(x: np.ndarray) -> tuple[np.ndarray, Any]:
        return x + 1e-3 * np.sin(1e3 * x), x

    x = np.linspace(0.1, 1, 7)
    slope = lambda g, x: g * (1 + np.cos(1e3 * x))  # noqa: E731
    check_backward(rippled, slope, [x], step=1e-7, tolerance=1e-4)
    with pytest.raises(GradientError):  # the difference over many ripples sees none of them
        check_backward(rippled, slope, [x], step=1.0, tolerance=1e-4)


class Recorded:
    """The square, and what it was called with."""

    def __init__(self) -> None:
        self.calls: list[np.ndarray] = []

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        self.calls.append(x.copy())
        return x * x, x

    def check(self, x: np.ndarray, **options: Any) -> list[np.ndarray]:
        """Check the right gradient; returns the two steps of each direction."""
        self.calls.clear()
        check_backward(self.forward, lambda gradient, x: 2 * x * gradient, [x], **options)
        return [moved - x for moved in self.calls[2:]]


def test_two_evaluations_do_for_an_array_of_any_size_and_one_scale(rng: np.random.Generator) -> None:
    def check(size: int, **options: Any) -> list[np.ndarray]:
        return Recorded().check(rng.uniform(1, 2, size), rng=np.random.default_rng(1), **options)

    assert [len(check(size)) for size in (1, 5)] == [2, 2]
    assert len(check(9, directions=3)) == 6


def test_two_more_evaluations_for_each_scale(rng: np.random.Generator) -> None:
    """100,000 numbers, a few of them small by chance, and ten scales."""
    assert len(Recorded().check(rng.standard_normal(100_000))) <= 10
    assert len(Recorded().check(10.0 ** -np.arange(0, 40, 4.0))) <= 2 * 20


def test_the_directions_are_those_of_the_generator_given() -> None:
    x = np.linspace(0.1, 1, 7)
    by_default, again, first, second = (
        Recorded().check(x, **options)
        for options in ({}, {}, {"rng": np.random.default_rng(0)}, {"rng": np.random.default_rng(1)})
    )
    np.testing.assert_array_equal(by_default, again)
    np.testing.assert_array_equal(by_default, first)
    assert np.abs(np.subtract(first, second)).max() > 1e-6


def test_the_step_grows_with_the_largest_entry_from_1_on() -> None:
    def length(largest: float) -> float:
        ahead, behind = Recorded().check(largest * np.linspace(-1, 0.5, 9), step=1e-4, tolerance=1e-4)
        np.testing.assert_allclose(ahead, -behind, atol=1e-12 * largest)
        return float(np.linalg.norm(ahead))

    direction = np.random.default_rng(0).standard_normal(18)[9:]  # after as many numbers for the result
    assert length(1.0) == pytest.approx(1e-4 * np.linalg.norm(direction))
    assert length(1e-3) == pytest.approx(length(1.0))
    assert length(1e6) == pytest.approx(1e6 * length(1.0))


# What is wrong is caught ---------------------------------------------------------------------------------------------


@methods
def test_the_message_names_input_place_and_both_values(method: str, arrays: list[np.ndarray]) -> None:
    asked: list[np.ndarray] = []

    def one_entry_off(gradient: np.ndarray, context: Any) -> Any:
        gx, gy = product_backward(gradient, context)
        asked.append(gy.copy())
        gy[2, 1] += 7.0
        return gx, gy

    with pytest.raises(GradientError) as caught:
        check_backward(product, one_entry_off, arrays, method=method, names=["x", "height"])
    right = asked[-1][2, 1]
    numbers = re.search(r"is \[2, 1\], where backward gives (\S+), (\S+) (\S+)$", str(caught.value))
    assert str(caught.value).startswith("the gradient of height is wrong")
    assert numbers is not None
    assert numbers[2] == method
    assert float(numbers[1]) == pytest.approx(right + 7, rel=1e-6)
    assert float(numbers[3]) == pytest.approx(right, rel=1e-4, abs=1e-4)


def _planted(change: Callable[[np.ndarray, np.ndarray], Any]) -> Callable[[np.ndarray, Any], Any]:
    return lambda gradient, context: change(*product_backward(gradient, context))


WRONG = {
    "a wrong sign": (_planted(lambda gx, gy: (-gx, gy)), "gradient of input 0 is wrong"),
    "a missing factor": (_planted(lambda gx, gy: (gx / 2, gy)), "gradient of input 0 is wrong"),
    "a transposition": (_planted(lambda gx, gy: (gx, gy[::-1])), "gradient of input 1 is wrong"),
    "zeros": (_planted(lambda gx, gy: (gx, 0 * gy)), "gradient of input 1 is wrong"),
    "a constant too much": (_planted(lambda gx, gy: (gx + 1e-3, gy)), "gradient of input 0 is wrong"),
    "not a number": (_planted(lambda gx, gy: (gx * np.nan, gy)), "gradient of input 0 is wrong"),
    "infinity": (_planted(lambda gx, gy: (gx, gy + np.inf)), "gradient of input 1 is wrong"),
    "swapped inputs": (_planted(lambda gx, gy: (gy, gx)), "gradient of input 0 is wrong"),
    "a gradient too few": (_planted(lambda gx, gy: gx), "returned 1 gradients for 2 inputs"),
    "a gradient too many": (_planted(lambda gx, gy: (gx, gy, gy)), "returned 3 gradients for 2 inputs"),
    "another shape": (_planted(lambda gx, gy: (gx, gy[:1])), r"input 1 is float64 of shape \(1, 4\); .*\(3, 4\)"),
    "a sum of it": (_planted(lambda gx, gy: (gx.sum(), gy)), r"input 0 is float64 of shape \(\); .*\(3, 4\)"),
    "another dtype": (_planted(lambda gx, gy: (gx.astype("f4"), gy)), "input 0 is float32 .* expected float64"),
    "complex": (_planted(lambda gx, gy: (gx, gy + 0j)), "input 1 is complex128 .* expected float64"),
}


@methods
@pytest.mark.parametrize("name", WRONG)
def test_a_planted_mistake_is_caught(name: str, method: str, arrays: list[np.ndarray]) -> None:
    backward, message = WRONG[name]
    with np.errstate(invalid="ignore"), pytest.raises(GradientError, match=message):
        check_backward(product, backward, arrays, method=method)


@given(st.integers(0, 11), st.sampled_from([1e-3, 1.0, -50.0]), st.integers(0, 2**32 - 1))
def test_an_error_in_any_single_entry_is_caught(place: int, error: float, seed: int) -> None:
    """Random numbers are nearly never close to orthogonal to it; where they are, more directions see it."""

    def backward(gradient: np.ndarray, context: Any) -> Any:
        gx, gy = product_backward(gradient, context)
        gx.flat[place] += error
        return gx, gy

    x, y = np.random.default_rng(seed).uniform(1, 2, (2, 3, 4))
    with pytest.raises(GradientError, match="input 0"):
        check_backward(product, backward, [x, y], rng=np.random.default_rng(seed), directions=4)


def test_inputs_changed_in_place_are_caught(arrays: list[np.ndarray]) -> None:
    def forward(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Any]:
        result = product(x, y)
        y *= 1.5
        return result

    def backward(gradient: np.ndarray, context: Any) -> Any:
        result = product_backward(gradient, context)
        context[0][0, 0] = 0.0
        return result

    given = [a.copy() for a in arrays]
    with pytest.raises(GradientError, match="input 1 was changed in place by forward or backward"):
        check_backward(forward, product_backward, arrays)
    with pytest.raises(GradientError, match="input 0 was changed in place"):
        check_backward(product, backward, arrays)
    np.testing.assert_array_equal(arrays, given)  # what the caller holds stays as it was


def test_a_large_array_is_searched_in_part(rng: np.random.Generator) -> None:
    """All entries wrong: the message comes after a bounded number of differences."""
    calls = 0

    def forward(x: np.ndarray) -> tuple[np.ndarray, Any]:
        nonlocal calls
        calls += 1
        return x * x, x

    with pytest.raises(GradientError, match=r"worst entry looked at is \[\d+\]"):
        check_backward(forward, lambda gradient, x: 3 * x * gradient, [rng.standard_normal(9000)])
    assert calls <= 2 + 2 + 2 * (2 * 7 + 100)


@pytest.mark.parametrize("place", [0, 1, 157, 299])
@pytest.mark.parametrize("error", [0.1, 5.0, np.nan, np.inf])
def test_the_one_wrong_entry_of_many_is_named(place: int, error: float, rng: np.random.Generator) -> None:
    def backward(gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
        gx = 2 * x * gradient
        gx[place] += error
        return gx

    with pytest.raises(GradientError, match=rf"worst entry looked at is \[{place}\], where backward gives"):
        check_backward(lambda x: (x * x, x), backward, [rng.standard_normal(300)])


def test_the_one_wrong_entry_of_very_many_is_found_by_halving(rng: np.random.Generator) -> None:
    """Looking at some 2,000 of them, evenly spread, would show one that is right."""
    x = rng.standard_normal((100, 200))
    for place in rng.integers(0, x.size, 5):

        def backward(gradient: np.ndarray, x: np.ndarray, place: int = place) -> np.ndarray:
            return 2 * x * gradient * (np.arange(x.size) != place).reshape(x.shape)

        row, column = divmod(int(place), 200)
        with pytest.raises(GradientError, match=rf"looked at is \[{row}, {column}\], where backward gives -?0,"):
            check_backward(lambda x: (x * x, x), backward, [x])


# Entries of very different scale -------------------------------------------------------------------------------------

SCALES = {
    "one of 1e-6": [1e6, 1e6, 1e6, 1.0],
    "one of 1e-6 of 1": [1.0, -1.0, 1.0, 1e-6],
    "a ladder": [1e3, 1e2, -1e1, 1.0, 1e-1, 1e-2, 1e-3],
}


@methods
@pytest.mark.parametrize("name", SCALES)
def test_a_small_entry_cannot_be_wrong_by_all_of_it(name: str, method: str) -> None:
    """Small in value, so that its gradient is small too; or in gradient only."""
    values = np.array(SCALES[name])
    for place in range(values.size):
        right = np.arange(values.size) != place
        functions = (
            (lambda x: (x * x, x), lambda g, x: 2 * x * g, values),
            (lambda x: (values * x, x), lambda g, x: values * g, np.linspace(1, 2, values.size)),
        )
        for forward, backward, x in functions:
            check_backward(forward, backward, [x], method=method)
            with pytest.raises(GradientError, match=rf"looked at is \[{place}\]"):
                check_backward(forward, lambda g, x, b=backward, r=right: b(g, x) * r, [x], method=method)


@methods
@given(st.lists(st.floats(-12, 6), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_right_gradients_of_any_scale_pass(method: str, powers: list[float], seed: int) -> None:
    """Cubes, saturated probabilities, sums in which small terms are lost: no false alarm, however small an entry."""
    x = np.append(np.random.default_rng(seed).choice([-1, 1], len(powers)) * 10.0 ** np.array(powers), 1.5)
    check_backward(lambda x: (x**3 + x, x), lambda g, x: (3 * x**2 + 1) * g, [x], method=method, tolerance=1e-5)
    check_backward(lambda x: (x**3, x), lambda g, x: 3 * x**2 * g, [x], method=method, tolerance=1e-5)
    check_backward(lambda x: (np.sum(x * x) + 1e3, x), lambda g, x: 2 * x * g, [np.append(x, 1e3)], method=method)
    scores = np.array([0.0, 0.5, *np.clip(x, -40, 2)])[None]
    check_backward(nn.softmax, nn.softmax_backward, [scores], method=method)


# What cannot be checked is refused -----------------------------------------------------------------------------------


def test_a_forward_that_draws_anew_is_not_called_a_wrong_gradient(rng: np.random.Generator) -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, Any]:
        return nn.dropout(x, p=0.5, rng=rng)

    with pytest.raises(GradientError, match="forward gives another result the second time; fix its"):
        check_backward(forward, nn.dropout_backward, [np.ones(20)])
    check_backward(lambda x: nn.dropout(x, p=0.5, rng=np.random.default_rng(1)), nn.dropout_backward, [np.ones(20)])


def test_a_check_of_nothing_is_refused() -> None:
    with pytest.raises(GradientError, match="no gradient but None"):
        check_backward(product, lambda g, c: (None, None), [np.ones(3)] * 2)
    with pytest.raises(ValueError, match="arrays is empty"):
        check_backward(lambda: (np.ones(3), None), lambda g, c: (), [])


@pytest.mark.parametrize(
    "options",
    [{"directions": 0}, {"step": 0}, {"step": -1e-6}, {"step": np.inf}, {"tolerance": -1.0}, {"tolerance": np.nan}],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    (name, value) = next(iter(options.items()))
    with pytest.raises(ValueError, match=rf"{name}={value}"):
        check_backward(nn.relu, nn.relu_backward, [np.ones(3)], **options)


def test_one_array_is_no_list_of_arrays() -> None:
    with pytest.raises(ValueError, match=r"arrays is one array of shape \(3, 2\); give a list, as in \[x\]"):
        check_backward(nn.relu, nn.relu_backward, np.ones((3, 2)))


def test_forward_has_to_return_a_result_and_a_context() -> None:
    for shape in ((3,), (2, 3)):  # two rows could be taken apart
        with pytest.raises(GradientError, match=r"forward returns one ndarray; let it return \(result, context\)"):
            check_backward(lambda x: 2 * x, lambda g, c: 2 * g, [np.ones(shape)])
    with pytest.raises(GradientError, match="forward returns 3 things"):
        check_backward(lambda x: (x, x, x), lambda g, c: g, [np.ones(3)])
    with pytest.raises(GradientError, match="forward's result is bool"):
        check_backward(lambda x: (x > 0, x), lambda g, c: g, [np.ones(3)])


def test_an_unknown_method_is_refused(arrays: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match='method="forward": choose one of finite-difference, complex-step'):
        check_backward(product, product_backward, arrays, method="forward")


def test_names_that_do_not_fit_are_refused(arrays: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"names=\['x'\]: give one for each of the 2 inputs"):
        check_backward(product, product_backward, arrays, names=["x"])
