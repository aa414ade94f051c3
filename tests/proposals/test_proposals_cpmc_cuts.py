"""Parametric cuts: the fast ones against the readable ones, those against networkx and enumeration; nestedness."""

from __future__ import annotations

import itertools

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.o2p.cpmc import parametric_cuts


def random_problem(seed, nodes=8, steps=5, hypotheses=2, top=20):
    """A sparse graph, and gains that rise by 0 or more from step to step."""
    rng = np.random.default_rng(seed)
    pairs = np.array(list(itertools.combinations(range(nodes), 2)))
    edges = pairs[rng.random(len(pairs)) < rng.choice([0.2, 0.5, 1.0])]
    weights = rng.integers(0, top, len(edges))
    start = rng.integers(-3 * top, top, (hypotheses, 1, nodes))
    rise = rng.integers(0, top, (hypotheses, steps - 1, nodes)) * rng.integers(0, 2, (hypotheses, steps - 1, nodes))
    gain = np.concatenate([start, start + rise.cumsum(axis=1)], axis=1)
    gain[0, :, 0] = 2**40  # a seed
    return edges, weights, gain


def energy(x, edges, weights, gain):
    return weights[x[edges[:, 0]] != x[edges[:, 1]]].sum() - gain[x].sum()


@given(st.integers(0, 2**32 - 1))
def test_each_cut_is_the_smallest_minimum_of_all_assignments(seed):
    edges, weights, gain = random_problem(seed, nodes=6)
    found = parametric_cuts(edges, weights, gain)
    every = [np.array(x) for x in itertools.product([False, True], repeat=6)]
    for b, step in np.ndindex(gain.shape[:2]):
        values = [energy(x, edges, weights, gain[b, step]) for x in every]
        assert energy(found[b, step], edges, weights, gain[b, step]) == min(values)
        assert found[b, step].sum() == min(x.sum() for x, v in zip(every, values, strict=True) if v == min(values))


@given(st.integers(0, 2**32 - 1))
def test_cuts_are_nested_and_hold_their_seed(seed):
    found = parametric_cuts(*random_problem(seed, nodes=20))
    assert (found[:, :-1] <= found[:, 1:]).all()
    assert found[0, :, 0].all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 20, 2**24]))
def test_fast_cuts_equal_readable_ones(seed, top):
    problem = random_problem(seed, nodes=30, top=top)
    fast = parametric_cuts(*problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSEGRANK_ACCELERATE", "0")
        patch.setattr("tinysegrank.proposals.crf.fast_maxflow.nested_cuts", None)
        np.testing.assert_array_equal(fast, parametric_cuts(*problem))


def test_cut_values_equal_networkx(rng):
    edges, weights, gain = random_problem(3, nodes=25, steps=4)
    for b, step in np.ndindex(gain.shape[:2]):
        graph = networkx.DiGraph()
        graph.add_nodes_from([*range(25), "source", "sink"])
        for (i, j), w in zip(edges.tolist(), weights.tolist(), strict=True):
            graph.add_edge(i, j, capacity=w)
            graph.add_edge(j, i, capacity=w)
        for i, g in enumerate(gain[b, step].tolist()):
            graph.add_edge(*(("source", i) if g > 0 else (i, "sink")), capacity=abs(g))
        value = networkx.maximum_flow_value(graph, "source", "sink")
        x = parametric_cuts(edges, weights, gain)[b, step]
        # A cut costs the energy and, for every node, the gain that there was to be had.
        assert energy(x, edges, weights, gain[b, step]) + np.maximum(gain[b, step], 0).sum() == value


@pytest.mark.parametrize("fast", ["0", "1"])
def test_graphs_without_edges_nodes_or_hypotheses(monkeypatch, fast):
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", fast)
    none = np.zeros((0, 2), int), np.zeros(0, int)
    assert parametric_cuts(*none, np.array([[[-1, 0, 1]]])).tolist() == [[[False, False, True]]]
    assert parametric_cuts(*none, np.zeros((0, 3, 2), int)).shape == (0, 3, 2)
    assert parametric_cuts(*none, np.zeros((2, 3, 0), int)).shape == (2, 3, 0)


@pytest.mark.parametrize(
    ("edges", "weights", "gain", "message"),
    [
        pytest.param([[0, 1]], [1], [[[1, 1], [1, 0]]], "must not fall", id="falling"),
        pytest.param([[0, 1]], [-1], [[[1, 1]]], "at least 0", id="negative"),
        pytest.param([[0, 2]], [1], [[[1, 1]]], "0..1", id="no such superpixel"),
        pytest.param([[0, 1]], [1.5], [[[1, 1]]], "integers", id="floating"),
        pytest.param([[0, 1]], [1, 2], [[[1, 1]]], r"weights \(E,\)", id="sizes"),
    ],
)
def test_bad_input_is_named(edges, weights, gain, message):
    with pytest.raises(ShapeError, match=message):
        parametric_cuts(np.array(edges), np.array(weights), np.array(gain))
