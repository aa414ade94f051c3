"""The Numba versions of pooling, normalisation, ReLU, dropout and evaluation against the readable ones."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from copy import copy

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from tests.nn.nn_strategies import poolings, seeds
from tests.nn.nn_versions import assert_near, both_ways, layouts
from tinysegrank import nn
from tinysegrank.errors import ShapeError
from tinysegrank.nn.fast import evaluation, filters, geometry, threads
from tinysegrank.nn.fast.threads import TASK, share


@given(poolings(ties=True), seeds, layouts)
def test_pooling_to_the_bit(case, seed, layout) -> None:
    rng = np.random.default_rng(seed)
    x = case.x.astype(np.float32)
    x = layout(np.where(rng.random(x.shape) < 0.05, np.float32(np.nan), x) if rng.random() < 0.3 else x)

    def run():
        y, context = case.forward(x)
        gradient = np.random.default_rng(seed).standard_normal(y.shape, dtype=np.float32)
        return y, nn.max_pool2d_backward(gradient, context)

    for readable, numba in zip(*both_ways(run), strict=True):
        np.testing.assert_array_equal(readable, numba)


@given(
    st.tuples(*[st.integers(1, 7)] * 4),
    st.sampled_from([1, 3, 5, 9]),
    st.floats(0.1, 1.0),
    st.sampled_from([0.75, 0.5, 1.3]),
    st.floats(0.5, 2.0),
    seeds,
    layouts,
)
def test_normalisation_is_that_of_float64(shape, size, alpha, beta, k, seed, layout) -> None:
    rng = np.random.default_rng(seed)
    x, gradient = (layout(rng.standard_normal(shape, dtype=np.float32)) for _ in range(2))
    results = []
    for dtype in (np.float32, np.float64):
        y, context = nn.local_response_norm(x.astype(dtype), size=size, alpha=alpha, beta=beta, k=k)
        results.append((y, nn.local_response_norm_backward(gradient.astype(dtype), context)))
    for numba, exact in zip(*results, strict=True):
        assert_near(numba, exact, 1e-5)


@given(
    st.tuples(*[st.integers(1, 5)] * 4),
    st.floats(0.01, 0.99),
    seeds,
    layouts,
    st.data(),
)
def test_dropout_and_relu_to_the_bit(shape, p, seed, layout, data) -> None:
    x = layout(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))
    first = data.draw(st.integers(0, 3))  # float32 drawn before: an odd number leaves half a draw
    made = data.draw(st.sampled_from([np.random.PCG64, np.random.Philox]))

    def run():
        rng = np.random.Generator(made(seed))
        rng.random(first, dtype=np.float32)
        y, scale = nn.dropout(x, p=p, rng=rng)
        positive, context = nn.relu(x)
        gradient = nn.relu_backward(nn.dropout_backward(y, scale), context)
        return y, scale, positive, gradient, rng.random(3, dtype=np.float32), rng.random(3)

    for readable, numba in zip(*both_ways(run), strict=True):
        np.testing.assert_array_equal(readable, numba)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)], ids=str)
def test_dropout_and_relu_of_other_ranks(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    x = np.asarray(rng.standard_normal(shape), np.float32)

    def run():
        y, scale = nn.dropout(x, p=0.4, rng=np.random.default_rng(3))
        positive, context = nn.relu(x)
        return y, positive, nn.relu_backward(nn.dropout_backward(y, scale), context)

    for readable, numba in zip(*both_ways(run), strict=True):
        assert numba.shape == shape
        np.testing.assert_array_equal(readable, numba)


def test_dropout_drawn_by_several_threads_is_the_same(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 50, 60, 61), dtype=np.float32)

    def run():
        drawn = np.random.default_rng(7)
        return *nn.dropout(x, p=0.3, rng=drawn), drawn.random(3), drawn.random(3, dtype=np.float32)

    for readable, numba in zip(*both_ways(run), strict=True):
        np.testing.assert_array_equal(readable, numba)


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


# Evaluation ----------------------------------------------------------------------------------------------------------


def a_network(rng: np.random.Generator, order: tuple[str, ...]) -> nn.Sequential:
    """Every kind of piece: with and without ReLU, pooling and normalisation in turn, and layers without Numba."""

    def conv(F: int, C: int, size: int, **options) -> nn.Conv2d:
        weight = rng.standard_normal((F, C, size, size), dtype=np.float32) / np.float32(np.sqrt(C) * size)
        return nn.Conv2d(weight, rng.standard_normal(F, dtype=np.float32), **options)

    followers = {"pool": nn.MaxPool2d(), "norm": nn.LocalResponseNorm(alpha=0.5), "pool again": nn.MaxPool2d(size=2)}
    return nn.Sequential(
        {
            "conv1": conv(16, 3, 9, stride=2),
            "relu1": nn.ReLU(),
            **{name: followers[name] for name in order},
            "conv2": conv(20, 8, 5, padding=2, groups=2),
            "drop": nn.Dropout(),
            "conv3": conv(9, 20, 1),
            "relu3": nn.ReLU(),
            "inner": nn.Sequential({"conv4": conv(8, 9, 3, padding=1)}),
            "norm4": nn.LocalResponseNorm(alpha=0.5),
        }
    )


def flat(network: nn.Sequential) -> list[nn.Layer]:
    return [
        each for layer in network.layers.values() for each in (flat(layer) if hasattr(layer, "layers") else [layer])
    ]


def in_float64(network: nn.Sequential, x: np.ndarray) -> np.ndarray:
    """Return what the network makes of x, layer by layer and exact."""
    exact = x.astype(float)
    for layer in map(copy, flat(network)):
        layer.parameters = {name: array.astype(float) for name, array in layer.parameters.items()}
        exact, _ = layer.forward(exact)
    return exact


@pytest.fixture
def one_image_a_chunk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(geometry, "CACHE", 1)
    monkeypatch.setattr(geometry, "ENOUGH", 1)
    geometry.geometry.cache_clear()
    yield
    geometry.geometry.cache_clear()


@pytest.mark.parametrize(
    "order",
    [(), ("pool",), ("pool", "norm"), ("norm", "pool"), ("pool", "norm", "pool again")],
    ids=lambda order: " ".join(order) or "none",
)
@pytest.mark.parametrize("N", [1, 5, 17])  # together, and in parts of two sizes
def test_evaluation_is_layer_by_layer_in_float64(rng: np.random.Generator, order, N: int) -> None:
    network = a_network(rng, order)
    x = rng.standard_normal((N, 3, 37, 33), dtype=np.float32)
    prepared = nn.Prepared(network)
    results = [network(x), prepared(x), prepared(x), prepared(x[::-1])[::-1]]
    exact = in_float64(network, x)
    for result in results:
        assert_near(result, exact)
    for layer in flat(network):
        layer.parameters = {name: array.astype(float) for name, array in layer.parameters.items()}
    np.testing.assert_array_equal(prepared(x), results[1])  # whatever became of the network


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("end", ["", "relu", "pool", "norm", "pool norm", "norm pool"])
@pytest.mark.parametrize("N", [2, 5])
@pytest.mark.usefixtures("one_image_a_chunk")
def test_a_program_of_several_chunks_takes_new_images(rng: np.random.Generator, stride: int, end: str, N: int) -> None:
    """Memory kept from the call before is neither read nor written, whatever comes first and last."""
    kinds = {"relu": nn.ReLU(), "pool": nn.MaxPool2d(), "norm": nn.LocalResponseNorm(alpha=0.5)}
    first, last = (rng.standard_normal((16, C, 5, 5), dtype=np.float32) / 10 for C in (8, 16))
    bias = rng.standard_normal(16, dtype=np.float32)
    layers = {"conv1": nn.Conv2d(first, bias, stride=stride), "conv2": nn.Conv2d(last, bias)}
    network = nn.Sequential(layers | {name: kinds[name] for name in end.split()})
    prepared = nn.Prepared(network)
    for _ in range(3):
        x = rng.standard_normal((N, 8, 26, 22), dtype=np.float32)
        exact = in_float64(network, x)
        assert_near(network(x), exact)
        assert_near(prepared(x), exact)
        np.testing.assert_array_equal(prepared(x[::-1])[::-1], prepared(x))


def test_a_size_of_normalisation_that_has_no_middle_is_refused(rng: np.random.Generator) -> None:
    layers = {"conv": a_network(rng, ()).layers["conv1"], "norm": nn.LocalResponseNorm(size=4)}
    with pytest.raises(ShapeError, match="size=4"):
        nn.Sequential(layers)(rng.standard_normal((1, 3, 37, 33), dtype=np.float32))


def test_interrupted_filters_are_made_again(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = a_network(rng, ("pool",)), rng.standard_normal((2, 3, 37, 33), dtype=np.float32)
    prepared, make = nn.Prepared(network), filters.filter_values

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "filter_values", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepared(x)
    monkeypatch.setattr(evaluation, "filter_values", make)
    np.testing.assert_array_equal(prepared(x), network(x))


def test_without_a_blas_that_is_known(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = a_network(rng, ("pool",)), rng.standard_normal((2, 3, 37, 33), dtype=np.float32)
    expected = network(x)
    monkeypatch.setattr(threads, "blas_libraries", list)
    np.testing.assert_array_equal(network(x), expected)


def test_helpers_that_may_not_choose_their_processor(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("not in this box")

    done: list[int] = []
    monkeypatch.setattr(os, "sched_setaffinity", refused, raising=False)
    with threadpool_limits(2):
        share(lambda start, stop: done.append(start), 4, 4 * TASK)
    assert sorted(done) == [0, 1, 2, 3]


def test_an_interrupt_leaves_no_job_to_the_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Helpers that have begun finish the job they are in; the others never begin."""
    monkeypatch.setattr(threads, "_processors", lambda: 2)
    caller, done, interrupted = threading.get_ident(), [], threading.Event()

    def job(start: int, stop: int) -> None:
        if threading.get_ident() == caller:
            interrupted.set()
            raise KeyboardInterrupt
        interrupted.wait(10)  # or the helper may do all jobs before the caller, on a busy machine, takes one
        done.append(start)

    with threadpool_limits(2), pytest.raises(KeyboardInterrupt):
        share(job, 4, 4 * TASK)
    share(lambda start, stop: done.append(start), 4, 4 * TASK)
    assert set(done) >= {0, 1, 2, 3}


@pytest.mark.parametrize("N", [1, 17])
def test_evaluation_on_any_number_of_threads_gives_the_same_bits(rng: np.random.Generator, N: int) -> None:
    network, x = a_network(rng, ("pool", "norm")), rng.standard_normal((N, 3, 37, 33), dtype=np.float32)
    results = []
    for count in (1, 2, 3):
        with threadpool_limits(count):
            results.append(network(x))
    assert all(np.array_equal(results[0], result) for result in results)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_error_in_a_job_reaches_the_caller(count: int) -> None:
    def fail(start: int, stop: int) -> None:
        raise ZeroDivisionError(f"{start}..{stop}")

    done: list[int] = []
    with threadpool_limits(count):
        with pytest.raises(ZeroDivisionError):
            share(fail, 4, 4 * TASK)
        share(lambda start, stop: done.append(start), 4, 4 * TASK)
    assert sorted(done) == [0, 1, 2, 3]


def test_a_forward_pass_for_training_is_layer_by_layer(rng: np.random.Generator) -> None:
    """Frozen layers are evaluated; dropout among them still drops."""
    layers = {str(number): layer for number, layer in enumerate(flat(a_network(rng, ("pool", "norm"))))}
    trained = [name for name, layer in layers.items() if isinstance(layer, nn.Conv2d)][-1]
    network = nn.Sequential(layers, frozen=layers.keys() - {trained})
    x = rng.standard_normal((3, 3, 37, 33), dtype=np.float32)
    y, contexts = network.forward(x, rng=np.random.default_rng(5))
    assert len(contexts) == len(layers) - list(layers).index(trained) == 2
    drawn = np.random.default_rng(5)
    for layer in layers.values():
        x, _ = layer.forward(x, rng=drawn)
    assert_near(y, x, 1e-5)


def test_evaluation_without_acceleration_is_the_readable_one(monkeypatch: pytest.MonkeyPatch, rng) -> None:
    network, x = a_network(rng, ("pool", "norm")), rng.standard_normal((2, 3, 37, 33), dtype=np.float32)
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0")
    expected = x
    for layer in flat(network):
        expected, _ = layer.forward(expected)
    np.testing.assert_array_equal(nn.Prepared(network)(x), expected)
    np.testing.assert_array_equal(network(x), expected)
