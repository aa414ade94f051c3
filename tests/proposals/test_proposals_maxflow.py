"""Cuts against networkx and enumeration; the 32-bit traps; the fast cut against SciPy's."""

from __future__ import annotations

import itertools

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.crf.maxflow import LARGEST_CAPACITY, minimise_binary, minimum_cut, nested_cuts


def random_graph(seed, nodes=7, arcs=16, top=20):
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, nodes, (arcs, 2))
    ends = ends[ends[:, 0] != ends[:, 1]]
    return ends, rng.integers(0, top, len(ends))


@given(st.integers(0, 2**32 - 1))
def test_cut_value_equals_networkx_and_side_is_the_smallest(seed):
    arcs, capacity = random_graph(seed)
    side = minimum_cut(7, 0, 6, arcs, capacity)
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(7))
    for (tail, head), c in zip(arcs.tolist(), capacity.tolist(), strict=True):
        before = graph.get_edge_data(tail, head, {"capacity": 0})["capacity"]
        graph.add_edge(tail, head, capacity=before + c)
    value = networkx.maximum_flow_value(graph, 0, 6)

    def cut(mask):
        return capacity[mask[arcs[:, 0]] & ~mask[arcs[:, 1]]].sum()

    assert side[0]
    assert not side[6]
    assert cut(side) == value
    masks = [np.array([True, *bits, False]) for bits in itertools.product([False, True], repeat=5)]
    assert side.sum() == min(mask.sum() for mask in masks if cut(mask) == value)


def test_duplicate_arcs_that_wrap_32_bits_are_refused():
    arcs, half = np.array([[0, 1], [0, 1]]), LARGEST_CAPACITY // 2 + 1
    with pytest.raises(ShapeError, match="sum to more"):
        minimum_cut(2, 0, 1, arcs, np.array([half, half]))
    with pytest.raises(ShapeError, match="sum to more"):  # both ways: their residuals add up
        minimum_cut(2, 0, 1, np.array([[0, 1], [1, 0]]), np.array([half, half]))
    assert minimum_cut(2, 0, 1, arcs, np.array([half, half - 1])).tolist() == [True, False]


def test_residual_beyond_32_bits_is_not_mistaken():
    # 0 -> 1 -> 2, with 1 -> 2 the bottleneck: all of 1's residual is near the limit.
    arcs = np.array([[0, 1], [1, 2], [2, 1]])
    side = minimum_cut(3, 0, 2, arcs, np.array([LARGEST_CAPACITY, 1, LARGEST_CAPACITY - 1]))
    assert side.tolist() == [True, True, False]


@pytest.mark.parametrize("capacity", [np.array([0.5]), np.array([-1])])
def test_capacities_must_be_counts(capacity):
    with pytest.raises(ShapeError, match="integers of at least 0"):
        minimum_cut(2, 0, 1, np.array([[0, 1]]), capacity)


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 20, 2**24]))
def test_the_fast_cut_is_the_same(seed, top):
    """Arcs of different capacity to and fro, pairs there twice, arcs from a node to itself."""
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(1, 40))
    edges = rng.integers(0, nodes, (int(rng.integers(0, 4 * nodes)), 2))
    forward, backward = rng.integers(0, top, (2, len(edges))) * (rng.random((2, len(edges))) < 0.7)
    gain = rng.integers(-2 * top, 2 * top, nodes) * (rng.random(nodes) < 0.6)
    fast = nested_cuts(edges, forward, backward, gain[None, None])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSEGRANK_ACCELERATE", "0")
        np.testing.assert_array_equal(fast, nested_cuts(edges, forward, backward, gain[None, None]))


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0.0, 1.0, 1e4]))
def test_binary_energy_is_minimised(seed, whole, size):
    rng = np.random.default_rng(seed)
    edges = rng.permuted(np.tile(np.arange(6), (9, 1)), axis=1)[:, :2]
    price, bond = rng.normal(0, 7, 6), np.maximum(rng.normal(1, 4, 9), 0)  # many bonds are 0
    price[0] += size  # far beyond what its neighbours can pay
    if whole:
        price, bond = np.rint(price), np.rint(bond)
    table = {
        x: price @ x + sum(b for (i, j), b in zip(edges, bond, strict=True) if x[j] > x[i])
        for x in itertools.product([0, 1], repeat=6)
    }
    x, least = minimise_binary(price, edges, bond), min(table.values())
    assert table[tuple(x.astype(int))] == pytest.approx(least, abs=0 if whole else 1e-6)
    if whole:
        assert x.sum() == min(sum(key) for key, value in table.items() if value == least)


def test_nodes_without_edges_take_their_cheaper_value():
    price = np.array([1e-12, -1e-12, 0.0])
    assert minimise_binary(price, np.zeros((0, 2), int), np.zeros(0)).tolist() == [False, True, False]
