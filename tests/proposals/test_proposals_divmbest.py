"""DivMBest: the loop over any engine, and the superpixel CRF as one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals import CrfEngine, Proposal, count_distinct, divmbest, interleave, potts_weights
from tinysegrank.superpixels import RegionGraph, region_graph

SUPERPIXELS = np.array([[0, 0, 0, 1], [2, 2, 3, 3]])  # areas 3, 1, 2, 2
EDGES = np.array([[0, 1], [0, 2], [0, 3], [1, 3], [2, 3]])


def engine(seed=0, labels=2):
    rng = np.random.default_rng(seed)
    return CrfEngine(rng.random((4, labels)), EDGES, rng.random(5), SUPERPIXELS)


@pytest.mark.parametrize("seed", range(5))
def test_each_proposal_minimises_the_energy_under_cumulative_penalties(seed):
    crf, lam = engine(seed), 0.15
    unary = np.random.default_rng(seed).random((4, 2))
    weights = crf.weights
    labellings = list(itertools.product(range(2), repeat=4))

    def pixels(y):
        return np.array(y)[SUPERPIXELS]

    def original(y):
        pixelwise = sum(unary[s, y[s]] for s in SUPERPIXELS.ravel())
        return pixelwise + sum(w for (a, b), w in zip(EDGES, weights, strict=True) if y[a] != y[b])

    earlier = []
    for proposal in divmbest(crf, lam, 6):

        def penalised(y, earlier=tuple(earlier)):
            return original(y) + lam * sum((pixels(y) == labels).sum() for labels in earlier)

        assert penalised(proposal.nodes) == pytest.approx(min(map(penalised, labellings)))
        assert proposal.score == pytest.approx(-original(proposal.nodes))
        assert np.array_equal(proposal.labels, pixels(proposal.nodes))
        assert proposal.labels.dtype == np.uint8
        earlier.append(proposal.labels)


def test_first_is_best_and_diversity_grows_with_lambda():
    proposals = divmbest(engine(labels=3), 0.3, 8)
    assert proposals[0].score == max(p.score for p in proposals)
    counts = [count_distinct(divmbest(engine(labels=3), lam, 8)) for lam in (0.0, 0.3)]
    assert counts[0] == 1
    assert counts[1] > 1


def test_engine_is_not_changed_and_runs_repeat():
    crf = engine(labels=3)
    before = crf.unary.copy()
    first, second = divmbest(crf, 0.2, 5), divmbest(crf, 0.2, 5)
    assert np.array_equal(crf.unary, before)
    assert all(np.array_equal(a.labels, b.labels) and a.score == b.score for a, b in zip(first, second, strict=True))


class Threshold:
    """An engine whose penalty is not cumulative: the state is the last label only."""

    def initial(self):
        return None

    def solve(self, state):
        label = 0 if state is None else 1 - state
        return Proposal(np.full((1, 1), label, np.uint8), -float(label), np.array([label]))

    def diversify(self, state, found, lam):
        return int(found.nodes[0]) if lam > 0 else state


def test_any_engine_with_a_state_of_its_own_fits():
    proposals = divmbest(Threshold(), 1.0, 4)
    assert [p.score for p in proposals] == [0, -1, 0, -1]
    assert count_distinct(proposals) == 2


def test_potts_weights_follow_boundary_and_contrast():
    graph = RegionGraph(
        edges=np.array([[0, 1], [1, 2]], np.int32),
        boundary=np.array([10, 30]),
        contrast=np.array([4.0, 8.0]),
        areas=np.ones(3, np.int64),
        centroids=np.zeros((3, 2)),
    )
    mean = (10 * 4 + 30 * 8) / 40
    expected = [2 * 10 * np.exp(-4 / (2 * mean)), 2 * 30 * np.exp(-8 / (2 * mean))]
    np.testing.assert_allclose(potts_weights(graph, strength=2.0), expected)


def test_potts_weights_without_contrast_or_edges():
    superpixels, image = np.array([[0, 0, 1]]), np.zeros((1, 3, 3), np.uint8)
    assert potts_weights(region_graph(superpixels, image), strength=3.0).tolist() == [3.0]
    assert potts_weights(region_graph(superpixels * 0, image), strength=3.0).shape == (0,)


def test_bad_options_are_named():
    with pytest.raises(ConfigError, match="lam"):
        divmbest(engine(), -0.1, 3)
    with pytest.raises(ConfigError, match="lam"):
        divmbest(engine(), float("nan"), 3)
    with pytest.raises(ConfigError, match="count"):
        divmbest(engine(), 0.1, 0)
    with pytest.raises(ConfigError, match="strength"):
        potts_weights(region_graph(np.zeros((1, 1), int), np.zeros((1, 1), np.uint8)), strength=-1.0)


def test_bad_arrays_are_named():
    with pytest.raises(ShapeError, match="superpixels"):
        CrfEngine(np.zeros((3, 2)), EDGES[:2], np.zeros(2), SUPERPIXELS)
    with pytest.raises(ShapeError, match="classes"):
        CrfEngine(np.zeros((4, 256)), EDGES, np.zeros(5), SUPERPIXELS)
    with pytest.raises(ShapeError, match="finite"):
        CrfEngine(np.full((4, 2), np.nan), EDGES, np.zeros(5), SUPERPIXELS)


def flat(*labels):
    return [Proposal(np.full((2, 2), label, np.uint8), float(n), np.zeros(1, int)) for n, label in enumerate(labels)]


def labels_of(proposals):
    return [int(p.labels[0, 0]) for p in proposals]


def test_pools_interleave_and_go_on_with_the_longer_list():
    assert labels_of(interleave(flat(1, 2, 3, 4), flat(5, 6), count=9)) == [1, 5, 2, 6, 3, 4]
    assert labels_of(interleave(flat(1, 2, 3, 4), flat(5, 6), count=3)) == [1, 5, 2]
    assert labels_of(interleave(flat(1, 1, 2), [], flat(2, 3), count=9)) == [1, 2, 1, 3, 2]


def test_bad_pools_are_named():
    with pytest.raises(ConfigError, match="count"):
        interleave(flat(1), count=0)
    with pytest.raises(ConfigError, match="no proposal"):
        interleave([], [], count=2)
    with pytest.raises(ShapeError, match="sizes"):
        interleave(flat(1), [Proposal(np.zeros((3, 3), np.uint8), 0.0, np.zeros(1, int))], count=2)
