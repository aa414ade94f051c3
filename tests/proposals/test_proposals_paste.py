"""Greedy pasting against brute force over all pastings, and its diversity."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.metrics import image_iou
from tinysegrank.proposals import PasteEngine, Segments, choose, count_distinct, divmbest, trial


def some_segments(count, seed=0, superpixels=6):
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(np.concatenate([np.arange(superpixels), rng.integers(0, superpixels, 80 - superpixels)]))
    members = rng.random((count, superpixels)) < 0.4
    members[np.arange(count), rng.integers(0, superpixels, count)] = True
    return Segments(numbers.reshape(8, 10), members, np.zeros(count))


def engine(seed=0, count=5, classes=2, **options):
    scores = np.random.default_rng(seed).uniform(0, 0.6, (count, classes))
    return PasteEngine(scores, some_segments(count, seed), **{"threshold": 0.2, **options})


def pastings(paste):
    """Every labelling of the segments that is allowed."""
    for nodes in itertools.product(range(paste.scores.shape[1] + 1), repeat=len(paste.scores)):
        if np.count_nonzero(nodes) <= paste.most:
            yield np.array(nodes, int)


def worth(paste, nodes, scores, background):
    """The model's score by its definition: what each segment's label scores, less the price of the number pasted."""
    total = sum(background[r] if k == 0 else scores[r, k - 1] for r, k in enumerate(nodes))
    return total - sum(paste.simplicity * j for j in range(np.count_nonzero(nodes)))


@pytest.mark.parametrize(("most", "simplicity"), [(3, 0.02), (1, 0.02), (2, 0.0), (9, 0.1)])
@pytest.mark.parametrize("seed", range(3))
def test_each_proposal_is_the_best_pasting_under_its_penalties(seed, most, simplicity):
    paste, lam = engine(seed, most=most, simplicity=simplicity), 0.08
    scores, background = paste.scores.copy(), np.full(5, 0.2)
    for proposal in divmbest(paste, lam, 8):
        best = max(worth(paste, nodes, scores, background) for nodes in pastings(paste))
        assert worth(paste, proposal.nodes, scores, background) == pytest.approx(best)
        original = worth(paste, proposal.nodes, paste.scores, np.full(5, 0.2)) - 5 * 0.2
        assert proposal.score == pytest.approx(original)
        for r, k in enumerate(proposal.nodes):  # penalties by the letter: classes for good, background this once
            background[r] = 0.2 - (lam if k == 0 else 0.0)
            if k:
                scores[r, k - 1] -= lam


@given(
    scores=arrays(np.float64, st.tuples(st.integers(0, 6), st.integers(1, 4)), elements=st.floats(-1, 1)),
    threshold=st.floats(-0.5, 0.8),
    lam=st.floats(0, 0.5),
    most=st.integers(1, 4),
)
def test_the_first_proposal_scores_best_and_pastings_keep_the_rules(scores, threshold, lam, most):
    paste = PasteEngine(scores, some_segments(len(scores)), threshold=threshold, most=most)
    proposals = divmbest(paste, lam, 6)
    for proposal in proposals:
        assert proposal.score <= proposals[0].score + 1e-12  # the first is the optimum, so none can be better
        assert np.count_nonzero(proposal.nodes) <= most
        assert proposal.nodes.shape == (len(scores),)
        assert proposal.labels.dtype == np.uint8
        assert set(np.unique(proposal.labels)) <= {0, *proposal.nodes}
        if not proposal.nodes.any():
            assert proposal.score == 0
    assert proposals[0].score >= 0  # all background is allowed and scores 0
    first = proposals[0].nodes
    pasted = first > 0
    assert (scores[pasted, first[pasted] - 1] > threshold).all()
    np.testing.assert_allclose(scores[pasted, first[pasted] - 1], scores[pasted].max(axis=1), atol=1e-12)


def test_the_best_segment_ends_on_top():
    superpixels = np.array([[0, 1, 2, 3]])
    members = np.array([[1, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)
    scores = np.array([[0.3, 0.1], [0.1, 0.6], [0.45, 0.2], [0.1, 0.15]])
    paste = PasteEngine(scores, Segments(superpixels, members, np.zeros(4)), threshold=0.2)
    found = paste.solve(paste.initial())
    assert found.nodes.tolist() == [1, 2, 1, 0]
    assert found.labels.tolist() == [[1, 2, 1, 0]]
    assert found.score == pytest.approx(0.1 + 0.4 + 0.25 - 0.06)
    strict = PasteEngine(scores, Segments(superpixels, members, np.zeros(4)), threshold=0.2, simplicity=0.06)
    assert strict.solve(strict.initial()).nodes.tolist() == [0, 2, 1, 0]  # the third has to beat 0.2 + 2 * 0.06


@pytest.mark.parametrize("seed", range(4))
def test_the_pasted_segments_explain_the_labels(seed):
    paste = engine(seed, count=6, classes=3)
    for proposal in divmbest(paste, 0.08, 6):
        parts, hidden = proposal.segments, np.zeros(proposal.labels.shape, bool)
        pasted = [int(r) for r in np.flatnonzero(proposal.nodes)]
        assert sorted(parts.classes) == sorted(proposal.nodes[pasted])
        by_score = {paste.scores[r, proposal.nodes[r] - 1]: r for r in pasted}
        for k, score, pixels in zip(*parts, strict=True):  # from the top down
            mask = paste.segments.mask(by_score.pop(score))
            assert (proposal.labels[mask & ~hidden] == k).all()
            assert pixels == np.count_nonzero(mask & ~hidden)
            hidden |= mask
        assert not by_score and not proposal.labels[~hidden].any()
        assert proposal.score == pytest.approx(sum(parts.scores - 0.2) - 0.02 * sum(range(len(pasted))))


def test_background_wins_a_tie_and_sinks_once_only():
    paste = PasteEngine(np.array([[0.2], [0.15]]), some_segments(2), threshold=0.2, simplicity=0.0)
    nodes = [p.nodes.tolist() for p in divmbest(paste, 0.03, 6)]
    # Background at 0.17 admits the first segment only, which is at 0.17 against 0.2 then; never at 0.14 the second.
    assert nodes[:3] == [[0, 0], [1, 0], [0, 0]]
    assert not any(second for _, second in nodes)


def test_no_diversity_repeats_the_best():
    proposals = divmbest(engine(1), 0.0, 5)
    assert count_distinct(proposals) == 1
    assert proposals[0].nodes.any()
    assert {p.score for p in proposals} == {proposals[0].score}


def test_diversity_grows_with_lambda():
    # On one image the number of distinct labellings may fall by a few as lambda grows; on a few together it does not.
    images = [engine(seed, count=40, classes=5) for seed in range(5)]
    counts = [sum(count_distinct(divmbest(e, lam, 12)) for e in images) for lam in (0.0, 0.002, 0.005, 0.02, 0.16)]
    assert counts == sorted(counts)
    assert counts[0] == len(images)
    assert counts[-1] > 11 * len(images)


def test_images_do_not_influence_each_other():
    first, second = engine(1, count=12), engine(2, count=9)
    apart = [divmbest(first, 0.08, 6), divmbest(second, 0.08, 6)]
    states, together = [first.initial(), second.initial()], [[], []]
    for _ in range(6):
        for n, paste in enumerate((first, second)):
            found = paste.solve(states[n])
            together[n].append(found)
            states[n] = paste.diversify(states[n], found, 0.08)
    for a, b in zip(itertools.chain(*apart), itertools.chain(*together), strict=True):
        assert np.array_equal(a.labels, b.labels)
        assert a.score == b.score


def test_engine_and_states_are_not_changed():
    paste = engine(3, count=8)
    state = paste.initial()
    before = state.scores.copy(), state.background.copy()
    found = paste.solve(state)
    paste.diversify(state, found, 0.1)
    np.testing.assert_array_equal(state.scores, before[0])
    np.testing.assert_array_equal(state.background, before[1])
    runs = divmbest(paste, 0.1, 5), divmbest(paste, 0.1, 5)
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(*runs, strict=True))


def test_without_segments_all_is_background():
    paste = PasteEngine(np.zeros((0, 20)), some_segments(0), threshold=0.2)
    for proposal in divmbest(paste, 0.08, 3):
        assert not proposal.labels.any()
        assert proposal.labels.shape == (8, 10)
        assert proposal.score == 0
        assert proposal.nodes.shape == (0,)


def test_lambda_is_chosen_for_pasting_as_for_the_crf():
    # The truth is the second segment; a small penalty on the first, which scores a little more, brings it out.
    superpixels, truth = np.array([[0, 1]]), np.array([[0, 1]], np.uint8)
    segments = Segments(superpixels, np.array([[True, False], [False, True]]), np.zeros(2))
    paste = PasteEngine(np.array([[0.5], [0.44]]), segments, threshold=0.2, most=1)
    grid = [0.0, 0.02, 0.04]
    choice = choose(grid, np.array([[trial(truth, divmbest(paste, lam, 2), num_classes=2) for lam in grid]]))
    assert choice.best == 0.04
    assert choice.oracle[-1] == 1.0
    assert choice.oracle[0] == choice.one_best[0] == pytest.approx(image_iou(truth, np.array([[1, 0]])))


def test_bad_input_is_named():
    segments = some_segments(4)
    for scores in (np.zeros((3, 2)), np.zeros(4), np.zeros((4, 0)), np.zeros((4, 255)), np.full((4, 2), np.nan)):
        with pytest.raises(ShapeError, match="scores"):
            PasteEngine(scores, segments, threshold=0.2)
    for name, bad in (("threshold", float("nan")), ("most", 0), ("simplicity", -0.1), ("simplicity", float("inf"))):
        with pytest.raises(ConfigError, match=name):
            PasteEngine(np.zeros((4, 2)), segments, **{"threshold": 0.2, name: bad})
