"""The bounds hold, the tight one is attained, and no larger bound by the sum of UOI is possible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinysegrank import losses
from tinysegrank.backend import Backend, to_numpy

UOIS = hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 25)), elements=st.floats(1, 1e9))


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
