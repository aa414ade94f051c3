"""Alpha-expansion against enumeration on small Potts energies; its Numba version against the readable one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.errors import ShapeError
from tinysegrank.proposals import CrfEngine, divmbest
from tinysegrank.proposals.crf.expansion import expand, expansion, gainers, potts_energy

ALL_EDGES = np.array(list(itertools.combinations(range(6), 2)))
seeds = st.integers(0, 2**32 - 1)


def problem(seed, labels=3, spread=6):
    """6 nodes, integer costs so that comparisons are exact; many ties."""
    rng = np.random.default_rng(seed)
    edges = ALL_EDGES[rng.random(len(ALL_EDGES)) < 0.6]
    return rng.integers(0, spread, (6, labels)).astype(float), edges, rng.integers(0, 5, len(edges)).astype(float)


def energy(y, unary, edges, weights):
    total = sum(unary[i, y[i]] for i in range(len(y)))
    return total + sum(w for (a, b), w in zip(edges, weights, strict=True) if y[a] != y[b])


def moves(y, alpha):
    for takes in itertools.product([False, True], repeat=len(y)):
        yield np.where(takes, alpha, y)


@given(seeds)
def test_energy_is_the_definition(seed):
    unary, edges, weights = problem(seed)
    y = np.random.default_rng(seed).integers(0, 3, 6)
    assert potts_energy(y, unary, edges, weights) == energy(y, unary, edges, weights)


@given(seeds, st.integers(2, 12))
def test_no_expansion_move_lowers_the_result(seed, spread):
    unary, edges, weights = problem(seed, spread=spread)
    y, value = expansion(unary, edges, weights)
    assert value == energy(y, unary, edges, weights)
    for alpha in range(3):
        assert value <= min(energy(move, unary, edges, weights) for move in moves(y, alpha))
    least = min(energy(z, unary, edges, weights) for z in itertools.product(range(3), repeat=6))
    assert least <= value <= 2 * least  # the bound of Boykov, Veksler and Zabih


def readable_expand(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSEGRANK_ACCELERATE", "0")
        patch.setattr("tinysegrank.proposals.crf.fast_expansion.gainers", None)
        patch.setattr("tinysegrank.proposals.crf.fast_maxflow.nested_cuts", None)
        return expand(*arguments)


@pytest.mark.parametrize("one_move", [expand, readable_expand], ids=["expand", "readable_expand"])
@given(seeds, st.integers(0, 2))
def test_one_expansion_is_the_best_move(one_move, seed, alpha):
    unary, edges, weights = problem(seed)
    y = np.random.default_rng(seed + 1).integers(0, 3, 6)
    best = min(energy(move, unary, edges, weights) for move in moves(y, alpha))
    moved = one_move(y, alpha, unary, edges, weights)
    assert energy(moved, unary, edges, weights) == best
    fewest = min((m != y).sum() for m in moves(y, alpha) if energy(m, unary, edges, weights) == best)
    assert (moved != y).sum() == fewest
    assert set(moved[moved != y]) <= {alpha}


def larger_problem(seed, *, nodes=60, labels=8):
    """Costs of very different sizes; whole numbers, which tie, or not; pairs that are there twice, and none."""
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, nodes, (rng.choice([0, 1, 3 * nodes]), 2))
    edges = edges[edges[:, 0] != edges[:, 1]].astype(rng.choice([np.int32, np.int64]))
    unary = rng.gamma(1, rng.choice([1.0, 30.0, 1e6]), (nodes, labels))
    weights = rng.gamma(1, rng.choice([0.0, 1.0, 1e4]), len(edges)) * (rng.random(len(edges)) < 0.9)
    if rng.random() < 0.5:
        unary, weights = np.rint(unary), np.rint(weights)
    unary[rng.random(unary.shape) < 0.1] = 1e30  # hopeless
    return unary, edges, weights, rng.integers(0, labels, nodes)


@given(seeds, st.integers(0, 7))
def test_the_fast_move_is_the_readable_one_to_the_bit(seed, alpha):
    unary, edges, weights, y = larger_problem(seed)
    expected = readable_expand(y, alpha, unary, edges, weights)
    np.testing.assert_array_equal(expand(y, alpha, unary, edges, weights), expected)


@given(seeds)
def test_divmbest_is_the_same_with_and_without_acceleration(seed):
    unary, edges, weights, _ = larger_problem(seed, nodes=30, labels=5)
    engine = CrfEngine(unary, edges, weights, np.arange(30).reshape(5, 6))
    fast = divmbest(engine, 3.0, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSEGRANK_ACCELERATE", "0")
        patch.setattr("tinysegrank.proposals.crf.fast_expansion.gainers", None)
        readable = divmbest(engine, 3.0, 4)
    for one, other in zip(fast, readable, strict=True):
        np.testing.assert_array_equal(one.nodes, other.nodes)
        assert one.score == other.score


@pytest.mark.parametrize("fast", ["0", "1"])
def test_one_label_one_node_and_none(monkeypatch, fast):
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", fast)
    none = np.zeros((0, 2), int), np.zeros(0)
    assert expansion(np.ones((4, 1)), np.array([[0, 1]]), np.ones(1))[0].tolist() == [0] * 4
    assert expansion(np.array([[3.0, 2.0]]), *none, start=np.array([0]))[0].tolist() == [1]
    assert expansion(np.zeros((0, 2)), *none)[0].tolist() == []
    loop = np.array([[0, 0], [0, 1]])  # an edge from a node to itself never differs
    assert expansion(np.array([[3.0, 2.0], [1.0, 4.0]]), loop, np.array([9.0, 0.5]))[0].tolist() == [1, 0]


@given(seeds, st.integers(0, 2))
def test_nodes_left_out_keep_their_label_in_some_best_move(seed, alpha):
    unary, edges, weights = problem(seed, spread=20)
    y = np.random.default_rng(seed + 1).integers(0, 3, 6)
    out = ~gainers(y, alpha, unary, edges, weights)[1]
    best = min(energy(move, unary, edges, weights) for move in moves(y, alpha))
    kept = min(energy(move, unary, edges, weights) for move in moves(y, alpha) if (move == y)[out].all())
    assert kept == best


@given(seeds)
def test_two_labels_are_exact(seed):
    unary, edges, weights = problem(seed, labels=2)
    _, value = expansion(unary, edges, weights)
    assert value == min(energy(z, unary, edges, weights) for z in itertools.product(range(2), repeat=6))


def test_real_costs_and_a_start():
    rng = np.random.default_rng(5)
    unary, weights = rng.gamma(2, 3e4, (6, 4)), rng.gamma(2, 1e4, len(ALL_EDGES))
    for start in (None, rng.integers(0, 4, 6), np.full(6, 3)):
        y, value = expansion(unary, ALL_EDGES, weights, start=start)
        for alpha in range(4):
            assert value <= min(energy(move, unary, ALL_EDGES, weights) for move in moves(y, alpha)) * (1 + 1e-9)


def test_without_edges_the_unary_decides():
    unary = np.random.default_rng(0).random((50, 21))
    y, _ = expansion(unary, np.zeros((0, 2), int), np.zeros(0), start=np.zeros(50, int))
    assert np.array_equal(y, unary.argmin(axis=1))


def test_strong_edges_give_one_label():
    rng = np.random.default_rng(0)
    unary = rng.random((30, 5))
    edges = np.array([[i, i + 1] for i in range(29)])
    y, value = expansion(unary, edges, np.full(29, 1e3))
    assert len(set(y)) == 1
    assert value == pytest.approx(unary.sum(axis=0).min())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.array([-1.0])}, "weights must be at least 0"),
        ({"unary": np.array([[0.0, np.inf], [0, 0]])}, "finite"),
        ({"edges": np.array([[0, 2]])}, "nodes of 0..1"),
        ({"weights": np.zeros(2)}, "are needed"),
        ({"start": np.array([0, 2])}, "labels of 0..1"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"unary": np.zeros((2, 2)), "edges": np.array([[0, 1]]), "weights": np.ones(1), "start": None} | change
    with pytest.raises(ShapeError, match=message):
        expansion(arguments.pop("unary"), arguments.pop("edges"), arguments.pop("weights"), **arguments)
