"""The structural SVM: its risk by loops, the small programme by all supports, the optimum by SciPy's SLSQP."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies
from scipy.optimize import minimize

from tinysegrank.ranking import StructuralSVM, oracle_picks, pick
from tinysegrank.ranking.cutting_planes import Planes
from tinysegrank.ranking.simplex_qp import minimise_on_simplex
from tinysegrank.ranking.structural import SlackRescaling


def problem(seed=0, images=6, proposals=4, d=3, dtype=np.float64):
    """Rows of images in mixed order, whose quality a noisy linear function tells; the first image has fewer rows."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(images), proposals)[2:])
    X = rng.standard_normal((len(groups), d)).astype(dtype)
    quality = 1 / (1 + np.exp(-(X @ rng.standard_normal(d) + rng.standard_normal(len(X)))))
    return X, quality, groups


def constraints(X, quality, groups):
    """Image, x(y*) - x(y) and L(y) of each constraint with L(y) > 0, by loops."""
    found = []
    for image, name in enumerate(sorted(set(groups))):
        rows = [row for row in range(len(X)) if groups[row] == name]
        best = max(rows, key=lambda row: quality[row])  # the first of equals
        found += [(image, X[best] - X[row], quality[best] - quality[row]) for row in rows]
    return [constraint for constraint in found if constraint[2] > 0]


def risk_by_loops(w, arrays):
    xi = np.zeros(len(set(arrays[2])))
    for image, difference, loss in constraints(*arrays):
        xi[image] = max(xi[image], loss * (1 - w @ difference))
    return xi.mean()


def direct(arrays, C):
    """The programme as it is defined, in w and xi, by a solver that knows nothing of planes: optimum and w."""
    d, n = arrays[0].shape[1], len(set(arrays[2]))
    rows = constraints(*arrays)
    A = np.array([[*difference, *(np.arange(n) == image) / loss] for image, difference, loss in rows])
    solution = minimize(
        lambda v: 0.5 * v[:d] @ v[:d] / C + v[d:].mean(),
        np.concatenate([np.zeros(d), np.ones(n)]),
        jac=lambda v: np.concatenate([v[:d] / C, np.full(n, 1 / n)]),
        bounds=[(None, None)] * d + [(0, None)] * n,
        constraints={"type": "ineq", "fun": lambda v: A @ v - 1, "jac": lambda v: A},
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    assert solution.success
    return C * solution.fun, solution.x[:d]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("C", [0.1, 3.0, 100.0])
def test_optimum_is_that_of_the_programme_as_it_is_defined(seed, C):
    arrays = problem(seed)
    value, w = direct(arrays, C)
    svm = StructuralSVM(C=C, tol=1e-7).fit(*arrays)
    assert svm.objective_ == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(svm.coef_, w, atol=2e-3 * max(1, abs(w).max()))
    assert svm.objective_ == pytest.approx(0.5 * svm.coef_ @ svm.coef_ + C * risk_by_loops(svm.coef_, arrays), rel=1e-9)
    assert svm.n_pairs_ == len(constraints(*arrays))


def test_risk_and_its_planes():
    arrays = problem(1)
    risk, rng = SlackRescaling(*arrays), np.random.default_rng(0)
    for w in rng.standard_normal((20, 3)):
        scores = risk.scores(w)
        assert risk.value(scores) == pytest.approx(risk_by_loops(w, arrays), rel=1e-12)
        a, b = risk.plane(scores)
        assert b - a @ w == pytest.approx(risk.value(scores), rel=1e-12)  # touches there
        for other in rng.standard_normal((20, 3)):
            assert b - a @ other <= risk_by_loops(other, arrays) + 1e-12  # and is nowhere above


def test_slope_along_a_line_by_differences():
    arrays = problem(2, images=30)
    risk, (w, p) = SlackRescaling(*arrays), np.random.default_rng(0).standard_normal((2, 3))
    slope_at, step = risk.slopes(risk.scores(w), risk.scores(p)), 1e-6
    for t in (0.0, 0.3, 1.0, 7.0):
        slope = (risk_by_loops(w + (t + step) * p, arrays) - risk_by_loops(w + (t - step) * p, arrays)) / (2 * step)
        assert slope_at(t) == pytest.approx(slope, rel=1e-6)


def minimum_by_all_supports(G, b, total):
    """The smallest value over every support's plane whose minimum lies inside of the simplex."""
    values = []
    for size in range(1, len(b) + 1):
        for support in map(list, itertools.combinations(range(len(b)), size)):
            system = np.ones((size + 1, size + 1))
            system[:size, :size] = G[np.ix_(support, support)]
            system[size, size] = 0
            x = np.linalg.lstsq(system, np.append(b[support], total))[0][:size]
            if x.min() >= -1e-9 and x.sum() == pytest.approx(total):
                values.append(0.5 * x @ G[np.ix_(support, support)] @ x - b[support] @ x)
    return min(values)


@given(strategies.integers(0, 10**6), strategies.integers(1, 6), strategies.integers(1, 5), strategies.booleans())
def test_programme_on_a_simplex_by_all_supports(seed, count, rank, repeated):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((count, rank)), rng.random(count)
    if repeated:  # planes that depend on each other
        A[-1], b[-1] = A[0], b[0] + rng.integers(0, 2) * 0.1
    total = 10.0 ** rng.uniform(-2, 3)
    start = np.zeros(count)
    start[0] = total
    G = A @ A.T
    x = minimise_on_simplex(G, b, total, start, tol=1e-10)
    value = 0.5 * x @ G @ x - b @ x
    assert x.min() >= 0 and x.sum() == pytest.approx(total)
    assert value == pytest.approx(minimum_by_all_supports(G, b, total), rel=1e-6, abs=1e-8)
    assert value <= 0.5 * start @ G @ start - b @ start + 1e-12
    assert start[0] == total  # the argument is left alone


def test_planes_bound_the_risk_from_below_and_their_minimum_is_the_duals():
    arrays = problem(3)
    risk, planes = SlackRescaling(*arrays), Planes(3, 5.0)
    optimum, before = direct(arrays, 5.0)[0], 0.0
    for at in np.random.default_rng(0).standard_normal((9, 3)):
        planes.add(*risk.plane(risk.scores(at)))
        w, bound = planes.minimise(1e-10)
        assert bound == pytest.approx(0.5 * w @ w + 5 * (planes.b - planes.a @ w).max(), rel=1e-8)  # no gap
        assert before - 1e-12 <= bound <= optimum + 1e-9
        assert planes.dual.min() >= 0 and planes.dual.sum() == pytest.approx(5)
        before = bound
    assert before > 0.2 * optimum


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_close_in(dtype):
    svm = StructuralSVM(C=30.0, tol=1e-4).fit(*problem(4, images=40, proposals=8, d=20, dtype=dtype))
    lower, upper = svm.bounds_.T
    assert len(lower) == svm.n_iter_ > 10
    assert (np.diff(lower) >= 0).all() and (np.diff(upper) <= 0).all() and (lower <= upper).all()
    assert svm.objective_ == upper[-1] <= (1 + 1e-4) * lower[-1]
    assert (upper[:-1] > (1 + 1e-4) * lower[:-1]).all()  # it ends as soon as they are close


def test_float32_reaches_the_same_optimum():
    X, quality, groups = problem(5, images=40, proposals=8, d=20)
    exact = StructuralSVM(tol=1e-5).fit(X, quality, groups)
    single = StructuralSVM(tol=1e-4).fit(X.astype(np.float32), quality, groups)
    assert single.objective_ == pytest.approx(exact.objective_, rel=2e-4)
    assert single.decision_function(X.astype(np.float32)).dtype == np.float64


def test_a_small_loss_lets_a_row_rank_above_the_oracle_where_the_slack_is_not_rescaled_it_may_not():
    # one feature that says the reverse of the qualities of the first two rows, and the truth of the third
    X, quality, groups = np.array([[0.0], [0.1], [-3.0]]), np.array([0.9, 0.89, 0.1]), np.zeros(3, int)
    svm = StructuralSVM(C=100.0, tol=1e-8).fit(X, quality, groups)
    assert pick(svm.decision_function(X), groups) == [1]
    assert svm.decision_function(X)[0] - svm.decision_function(X)[2] > 0.9
    worse = StructuralSVM(C=100.0, tol=1e-8).fit(X, np.array([0.9, 0.1, 0.1]), groups)
    assert worse.coef_[0] < 0.5 * svm.coef_[0]


def test_groups_of_one_and_of_equals_count_in_n_alone():
    X, quality, groups = problem(8)
    more = np.random.default_rng(1).standard_normal((4, 3))
    svm = StructuralSVM(C=8.0, tol=1e-8).fit(
        np.vstack([X, more]), np.append(quality, [0.5, 0.5, 0.5, 0.9]), np.append(groups, [50, 50, 50, 51])
    )
    reference = StructuralSVM(C=6.0, tol=1e-8).fit(X, quality, groups)  # C / n the same
    assert svm.objective_ == pytest.approx(reference.objective_, rel=1e-7)
    np.testing.assert_allclose(svm.coef_, reference.coef_, atol=1e-3)


def test_of_equally_good_rows_the_first_is_the_oracle_and_the_others_are_no_constraint():
    X, quality, groups = problem(9)
    best = oracle_picks(quality, groups)
    others = np.random.default_rng(1).standard_normal((len(best), 3))
    after = StructuralSVM(tol=1e-8).fit(
        np.vstack([X, others]), np.append(quality, quality[best]), np.append(groups, groups[best])
    )
    assert after.objective_ == pytest.approx(StructuralSVM(tol=1e-8).fit(X, quality, groups).objective_, rel=1e-7)
    before = StructuralSVM(tol=1e-8).fit(
        np.vstack([others, X]), np.append(quality[best], quality), np.append(groups[best], groups)
    )
    assert abs(before.coef_ - after.coef_).max() > 0.01


def test_features_that_are_all_zero_leave_the_loss_of_chance():
    _, quality, groups = problem(11)
    svm = StructuralSVM(C=2.0).fit(np.zeros((len(groups), 3)), quality, groups)
    assert svm.coef_.tolist() == [0, 0, 0]
    assert svm.objective_ == pytest.approx(
        2 * risk_by_loops(np.zeros(3), (np.zeros((len(groups), 3)), quality, groups))
    )


def test_warm_start_ends_where_a_cold_start_does_in_fewer_planes():
    arrays = problem(12, images=40, proposals=8, d=20)
    cold = StructuralSVM(C=11.0, tol=1e-3).fit(*arrays)
    warm = StructuralSVM(C=10.0, tol=1e-3, warm_start=True).fit(*arrays).set_params(C=11.0).fit(*arrays)
    assert warm.objective_ == pytest.approx(cold.objective_, rel=2e-3)
    assert warm.n_iter_ < cold.n_iter_
