"""Flips of pixels against scikit-learn's Jaccard index; slopes against the complex step; bounds on IOU by UOI."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import jaccard_score

from tinysegrank import losses
from tinysegrank.backend import Backend, to_numpy
from tinysegrank.errors import ShapeError

K = 4
UOIS = hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 25)), elements=st.floats(1, 1e9))


def test_the_curve_equals_recomputation_from_the_labels_after_every_flip(rng: np.random.Generator) -> None:
    labels = rng.integers(0, K - 1, size=(6, 9)).astype(np.uint8)  # class 3 is absent, but flipped to
    labels[0, :3] = 255
    curve = losses.simulate_flips(labels, num_classes=K, rng=np.random.default_rng(7))

    truth = labels[labels != 255].astype(int)
    replay = np.random.default_rng(7)  # the draws that the docstring promises
    order, steps = replay.permutation(truth.size), replay.integers(1, K, size=truth.size)
    predicted = truth.copy()
    for flipped in range(truth.size + 1):
        each = jaccard_score(truth, predicted, labels=np.unique(truth), average=None)
        assert curve.mistakes[flipped] == (truth != predicted).sum()
        assert curve.iou[flipped] == pytest.approx(each.mean())
        if each.all():
            assert curve.uoi[flipped] == pytest.approx((1 / each).mean())
        else:
            assert np.isinf(curve.uoi[flipped])
        if flipped < truth.size:
            predicted[order[flipped]] = (truth[order[flipped]] + steps[flipped]) % K
    assert flipped == truth.size and np.isinf(curve.uoi[-1]) and curve.iou[-1] == 0


@given(seed=st.integers(0, 2**32 - 1), pixels=st.integers(1, 60), num_classes=st.integers(2, 6))
def test_iou_falls_uoi_rises_and_the_means_obey_their_inequality(seed: int, pixels: int, num_classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, size=pixels)
    mistakes, iou, uoi = losses.simulate_flips(labels, num_classes=num_classes, rng=rng)
    assert mistakes.shape == iou.shape == uoi.shape == (pixels + 1,)
    assert iou[0] == uoi[0] == 1
    assert np.all(np.diff(iou) < 1e-12) and np.all(uoi[1:] >= uoi[:-1] * (1 - 1e-12))
    assert np.all(iou >= 1 / uoi - 1e-12)


def test_the_same_seed_gives_the_same_curve(rng: np.random.Generator) -> None:
    labels = rng.integers(0, K, size=(5, 5))
    one = losses.simulate_flips(labels, num_classes=K, rng=np.random.default_rng(3))
    other = losses.simulate_flips(labels, num_classes=K, rng=np.random.default_rng(3))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_slopes_are_the_derivatives(rng: np.random.Generator) -> None:
    ground_truth = rng.uniform(10, 100, size=20)
    fp, fn = rng.uniform(0, 50, size=20), rng.uniform(0, 9, size=20)
    step = 1e-60j
    for function, slopes in ((losses.class_iou, losses.iou_slopes), (losses.class_uoi, losses.uoi_slopes)):
        by_fp, by_fn = slopes(ground_truth, fp, fn)
        np.testing.assert_allclose(by_fp, np.imag(function(ground_truth, fp + step, fn)) / 1e-60, rtol=1e-14)
        np.testing.assert_allclose(by_fn, np.imag(function(ground_truth, fp, fn + step)) / 1e-60, rtol=1e-14)


def test_class_iou_and_uoi_are_those_of_the_counts() -> None:
    tp, fp, fn = 6, 3, 2
    assert losses.class_iou(tp + fn, fp, fn) == pytest.approx(tp / (tp + fp + fn))
    assert losses.class_uoi(tp + fn, fp, fn) == pytest.approx((tp + fp + fn) / tp)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros(3, dtype=int), {"num_classes": 1}, "at least 2"),
        (np.zeros(3), {}, "integers"),
        (np.full(3, 255), {}, "nothing but void"),
        (np.array([0, K]), {}, "0..4"),
        (np.array([0, -1]), {}, "-1..0"),
    ],
)
def test_refuses_what_does_not_fit(labels: np.ndarray, options: dict[str, int], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        losses.simulate_flips(labels, **{"num_classes": K, "rng": np.random.default_rng(0), **options})


# Bounds --------------------------------------------------------------------------------------------------------------


@given(uoi=UOIS)
def test_the_sum_of_iou_is_above_the_tight_bound_and_that_above_the_papers(uoi: np.ndarray) -> None:
    iou_sum, tight, paper = (1 / uoi).sum(axis=-1), losses.tight_iou_bound(uoi), losses.iou_bound(uoi)
    assert tight.shape == paper.shape == iou_sum.shape
    assert np.all(iou_sum >= tight * (1 - 1e-12)) and np.all(tight >= paper)


@given(value=st.floats(1, 1e9), classes=st.integers(1, 25))
def test_equal_terms_attain_the_tight_bound_so_none_by_the_sum_alone_is_larger(value: float, classes: int) -> None:
    uoi = np.full(classes, value)
    assert losses.tight_iou_bound(uoi) == pytest.approx((1 / uoi).sum(), rel=1e-12)


def test_the_papers_bound_is_one_kth_where_the_sum_is_k() -> None:
    perfect = np.ones(21)
    assert losses.iou_bound(perfect) == pytest.approx(1 / 21)
    assert losses.tight_iou_bound(perfect) == pytest.approx(21)


def test_a_class_wholly_missed_makes_both_bounds_empty() -> None:
    uoi = np.array([1.0, np.inf])
    assert losses.iou_bound(uoi) == losses.tight_iou_bound(uoi) == 0


def test_the_mean_form_follows_the_losses_themselves(rng: np.random.Generator) -> None:
    z, target = rng.normal(size=(2, 5, 3, 3)), np.moveaxis(rng.dirichlet(np.ones(5), size=(2, 3, 3)), -1, 1)
    assert losses.iou(z, target)[0] >= 1 / losses.uoi(z, target)[0]


def test_every_backend_keeps_float32(backend: Backend) -> None:
    uoi = backend.asarray(np.array([[1.0, 2, 5], [4, 4, 4]]), dtype="float32")
    for bound, expected in ((losses.iou_bound, [1 / 8, 1 / 12]), (losses.tight_iou_bound, [9 / 8, 9 / 12])):
        result = bound(uoi)
        assert result.dtype == uoi.dtype and result.shape == (2,)
        if str(backend.device) != "meta":
            np.testing.assert_allclose(to_numpy(result), expected, rtol=1e-6)
