"""What page 11 compares DivMBest with: perturb-and-MAP, and the best M without diversity."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from baselines import best_labellings, best_pastings, perturb_and_map, perturbed
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.errors import ConfigError
from tinysegrank.proposals import CrfEngine, PasteEngine, Segments, count_distinct, divmbest, potts_energy

SUPERPIXELS = np.array([[0, 0, 0, 1], [2, 2, 3, 3]])
EDGES = np.array([[0, 1], [0, 2], [0, 3], [1, 3], [2, 3]])


def crf(seed=0, labels=3, coupling=1.0):
    rng = np.random.default_rng(seed)
    return CrfEngine(rng.random((4, labels)), EDGES, coupling * rng.random(5), SUPERPIXELS)


def paste(seed=0, count=5, classes=2, **options):
    rng = np.random.default_rng(seed)
    members = rng.random((count, 4)) < 0.5
    members[np.arange(count), rng.integers(0, 4, count)] = True
    scores = rng.uniform(0, 0.6, (count, classes))
    return PasteEngine(scores, Segments(SUPERPIXELS, members, np.zeros(count)), **{"threshold": 0.2, **options})


ENGINES = {"paste": paste, "crf": crf}
engines = pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES)


def every_pasting(engine):
    """The score of every allowed pasting, by its labels."""
    R, classes = engine.scores.shape
    scores = {}
    for nodes in itertools.product(range(classes + 1), repeat=R):
        pasted = [engine.scores[r, k - 1] - engine.threshold for r, k in enumerate(nodes) if k]
        if len(pasted) <= engine.most:
            scores[nodes] = sum(pasted) - engine.simplicity * len(pasted) * (len(pasted) - 1) / 2
    return scores


@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(0, 2), (1, 1), (2, 3), (4, 2), (5, 1)]),
    most=st.integers(1, 4),
    simplicity=st.sampled_from([0.0, 0.02, 0.2]),
    threshold=st.sampled_from([-1.0, 0.2, 0.3, 1.0]),
    count=st.integers(1, 40),
)
def test_best_pastings_are_those_of_brute_force(seed, shape, most, simplicity, threshold, count):
    engine = paste(seed, *shape, most=most, simplicity=simplicity, threshold=threshold)
    scores, found = every_pasting(engine), best_pastings(engine, count)
    expected = sorted(scores.values(), reverse=True)[:count]
    np.testing.assert_allclose([p.score for p in found], expected, atol=1e-12)
    assert len({tuple(p.nodes) for p in found}) == len(found)
    for proposal in found:
        assert proposal.score == pytest.approx(scores[tuple(proposal.nodes.tolist())])


def test_ties_are_no_trouble():
    engine = PasteEngine(np.full((3, 2), 0.5), paste(1, 3).segments, threshold=0.2, simplicity=0.3)
    scores, found = every_pasting(engine), best_pastings(engine, 30)
    assert len(found) == len(scores) == 27
    np.testing.assert_allclose([p.score for p in found], sorted(scores.values(), reverse=True), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_best_labellings_without_potts_terms_are_those_of_brute_force(seed):
    engine = crf(seed, coupling=0.0)
    energies = sorted(
        potts_energy(np.array(y), engine.unary, EDGES, engine.weights) for y in itertools.product(range(3), repeat=4)
    )
    np.testing.assert_allclose([-p.score for p in best_labellings(engine, 30)], energies[:30])
    assert len(best_labellings(engine, 1000)) == 3**4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_best_labellings_with_potts_terms_are_distinct_and_near_those_of_brute_force(seed):
    engine, count = crf(seed, coupling=0.5), 12
    energies = sorted(
        potts_energy(np.array(y), engine.unary, EDGES, engine.weights) for y in itertools.product(range(3), repeat=4)
    )
    found = best_labellings(engine, count)
    assert count_distinct(found) == count
    costs = np.array([-p.score for p in found])
    assert (np.diff(costs[1:]) >= 0).all()
    assert (costs >= np.array(energies[:count]) - 1e-9).all()
    assert len(np.intersect1d(costs.round(9), np.round(energies[:count], 9))) >= count - 3
    for proposal in found:
        assert -proposal.score == pytest.approx(potts_energy(proposal.nodes, engine.unary, EDGES, engine.weights))


@pytest.mark.parametrize("find", [best_pastings, best_labellings])
def test_the_first_is_the_map(find):
    make = paste if find is best_pastings else crf
    for seed in range(5):
        engine = make(seed)
        first = divmbest(engine, 0.0, 1)[0]
        assert np.array_equal(find(engine, 4)[0].nodes, first.nodes)
        assert np.array_equal(perturb_and_map(engine, 1.0, 2, np.random.default_rng(0))[0].nodes, first.nodes)
    with pytest.raises(ConfigError, match="count"):
        find(make(), 0)


@engines
def test_perturbing_by_nothing_is_the_map(make):
    proposals = perturb_and_map(make(2), 0.0, 4, np.random.default_rng(0))
    assert len(proposals) == 4
    assert count_distinct(proposals) == 1
    assert {p.score for p in proposals} == {divmbest(make(2), 0.1, 1)[0].score}


@engines
def test_noise_is_fresh_seeded_and_on_the_original_model(make):
    engine = make(2)
    first, again = (perturb_and_map(engine, 0.3, 20, np.random.default_rng(7)) for _ in range(2))
    assert count_distinct(first) > 3
    assert all(np.array_equal(a.nodes, b.nodes) for a, b in zip(first, again, strict=True))
    assert all(p.score <= first[0].score + 1e-9 for p in first)
    state = perturbed(engine, 0.3, np.random.default_rng(7))
    assert np.array_equal(engine.solve(state).nodes, first[1].nodes)


def test_noise_draws_labels_by_their_softmax():
    # One node without a bound on pastings: perturb-and-MAP is the Gumbel-max trick, an exact sampler.
    unary = np.array([[0.0, 0.4, 1.0]])
    one = CrfEngine(unary, np.zeros((0, 2), int), np.zeros(0), np.zeros((1, 1), int))
    segments = Segments(np.zeros((1, 1), int), np.ones((1, 1), bool), np.zeros(1))
    same = PasteEngine(-unary[:, 1:], segments, threshold=0.0, simplicity=0.0)
    expected = np.exp(-unary[0] / 0.5) / np.exp(-unary[0] / 0.5).sum()
    for engine in (one, same):
        drawn = perturb_and_map(engine, 0.5, 4001, np.random.default_rng(0))[1:]
        shares = np.bincount([p.nodes[0] for p in drawn], minlength=3) / 4000
        np.testing.assert_allclose(shares, expected, atol=0.03)


def test_without_segments_every_baseline_is_background():
    engine = paste(0, 0)
    assert len(best_pastings(engine, 5)) == 1
    assert not any(p.labels.any() for p in perturb_and_map(engine, 1.0, 3, np.random.default_rng(0)))


def test_bad_noise_is_named():
    for scale in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="scale"):
            perturb_and_map(crf(), scale, 2, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="count"):
        perturb_and_map(crf(), 1.0, 0, np.random.default_rng(0))
