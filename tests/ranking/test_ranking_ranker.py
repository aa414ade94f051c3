"""The fitted ranker against its parts put together by hand, and its file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.preprocessing import StandardScaler

from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.files import write_arrays
from tinysegrank.ranking import (
    RANKERS,
    FeatureTable,
    LinearRanker,
    Ranker,
    RankerKind,
    RankSVM,
    StoredTable,
    balancing_weights,
    choose_C,
    fit_ranker,
)
from tinysegrank.stored_rows import StoredRows

IMAGES, EACH = 12, 5


def table_of(seed: int = 0) -> tuple[FeatureTable, np.ndarray]:
    """Twelve images of five proposals whose quality is a noisy linear function of two of five features."""
    rng = np.random.default_rng(seed)
    tables, confusions = [], []
    for image in range(IMAGES):
        X = rng.normal(size=(EACH, 5)) * [1, 10, 1, 1, 0] + [0, 5, 0, 0, 3]
        quality = 1 / (1 + np.exp(-(X[:, 0] + 0.1 * X[:, 1] + 0.2 * rng.normal(size=EACH))))
        right = np.round(1000 * quality).astype(int)
        confusions += [[[n, 1000 - n], [1000 - n, n]] for n in right]
        blocks = {"first": (("a", "b"), X[:, :2]), "second": (("c", "d", "e"), X[:, 2:])}
        tables.append(FeatureTable.of_image(f"image {image}", blocks, quality))
    return FeatureTable.concatenate(tables), np.array(confusions)


def test_it_equals_its_parts_put_together():
    table, confusions = table_of()
    done: list[int] = []
    fitted = fit_ranker(table, confusions, grid=(0.01, 1.0), splits=3, advance=done.append)
    assert done == [1, 1, 1]
    X = table.select().astype(np.float64)
    chosen = choose_C(X, table.quality, table.groups, confusions, grid=(0.01, 1.0), folds=3)
    assert fitted.chosen.C == chosen.C
    np.testing.assert_allclose(fitted.chosen.accuracy, chosen.accuracy)
    Z = StandardScaler().fit_transform(X)
    svm = RankSVM(C=chosen.C).fit(Z, table.quality, table.groups)
    assert fitted.pairs == svm.n_pairs_ > 0
    ours, expected = fitted.ranker.scores(table), svm.decision_function(Z)
    np.testing.assert_allclose(ours - ours.mean(), expected - expected.mean(), atol=1e-4)
    assert abs(fitted.ranker.coefficients[0]) > 5 * abs(fitted.ranker.coefficients[2])
    assert fitted.ranker.coefficients[4] == 0  # a constant column


def rows_of(image: int, confusions: np.ndarray) -> np.ndarray:
    return confusions[EACH * image : EACH * (image + 1)]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_table_on_disk_gives_the_same_ranker_to_the_bit(tmp_path, monkeypatch, jobs):
    monkeypatch.setattr("tinysegrank.stored_rows.row_blocks.__defaults__", (7,))  # rows are read in several blocks
    table, confusions = table_of()
    for image, name in enumerate(table.images):
        rows = table.groups == image
        blocks = {block: (table.columns[block], values[rows]) for block, values in table.blocks.items()}
        FeatureTable.of_image(name, blocks, table.quality[rows]).save(tmp_path / name)
    stored = StoredTable.open([tmp_path / name for name in table.images], table.columns)
    stored_confusions = StoredRows(partial(rows_of, confusions=confusions), [EACH] * IMAGES, confusions)
    asked = {"blocks": ["second", "first"], "balance": True, "grid": (0.01, 1.0), "splits": 3}
    expected, fitted = fit_ranker(table, confusions, **asked), fit_ranker(stored, stored_confusions, jobs=jobs, **asked)
    assert vars(fitted.ranker).keys() == vars(expected.ranker).keys()
    for name, value in vars(expected.ranker).items():
        np.testing.assert_array_equal(getattr(fitted.ranker, name), value)
    np.testing.assert_array_equal(fitted.chosen.accuracy, expected.chosen.accuracy)
    np.testing.assert_array_equal(fitted.ranker.scores(stored), expected.ranker.scores(table))


class Ridge(LinearRanker):
    """A ranker from outside the package: least squares to the quality."""

    def __init__(self, *, C=1.0):
        self.C = C

    def fit(self, X, quality, groups):
        self.n_features_in_ = X.shape[1]
        self.coef_ = np.linalg.solve(np.eye(X.shape[1]) / self.C + X.T @ X, X.T @ (quality - quality.mean()))
        return self


@pytest.fixture
def own(monkeypatch):
    monkeypatch.setitem(RANKERS, "ridge", RankerKind(Ridge, (0.1, 10.0)))


@pytest.mark.parametrize("name", [*RANKERS, "ridge"])
def test_every_ranker_of_the_table_learns_what_tells_the_quality(own, name):
    table, confusions = table_of()
    kind = RANKERS[name]
    fitted = fit_ranker(table, confusions, estimator=kind.estimator(), grid=kind.grid, splits=3)
    assert fitted.chosen.C in kind.grid
    weights = np.abs(fitted.ranker.coefficients)
    assert weights[0] > 2 * weights[2:].max()


def test_balanced_blocks_have_the_same_sum_of_variances():
    table, confusions = table_of()
    weights = balancing_weights(table)
    assert weights[:2] @ weights[:2] == pytest.approx(weights[2:] @ weights[2:]) == pytest.approx(5 / 2)
    np.testing.assert_array_equal(balancing_weights(table, ["second"]), np.ones(3))
    fitted = fit_ranker(table, confusions, balance=True, grid=(0.01, 1.0), splits=3)
    X = table.select().astype(np.float64)
    chosen = choose_C(X, table.quality, table.groups, confusions, weights=weights, grid=(0.01, 1.0), folds=3)
    np.testing.assert_allclose(fitted.chosen.accuracy, chosen.accuracy)
    Z = StandardScaler().fit_transform(X) * weights
    expected = RankSVM(C=chosen.C).fit(Z, table.quality, table.groups).decision_function(Z)
    ours = fitted.ranker.scores(table)
    np.testing.assert_allclose(ours - ours.mean(), expected - expected.mean(), atol=1e-4)
    plain = fit_ranker(table, confusions, grid=(chosen.C,), splits=2).ranker.scores(table)
    assert not np.allclose(plain - plain.mean(), ours - ours.mean(), atol=1e-3)


@pytest.mark.parametrize("blocks", [["second"], "second"])
def test_only_the_blocks_asked_for_count(blocks):
    table, confusions = table_of()
    fitted = fit_ranker(table, confusions, blocks=blocks, balance=True, grid=(1.0,), splits=2)
    assert (fitted.ranker.blocks, fitted.ranker.columns) == (("second",), ("c", "d", "e"))
    other, _ = table_of(seed=1)
    mixed = replace(table, blocks={**table.blocks, "first": other.blocks["first"]})
    np.testing.assert_array_equal(fitted.ranker.scores(mixed), fitted.ranker.scores(table))


def test_it_is_the_same_from_a_file(tmp_path):
    table, confusions = table_of()
    ranker = fit_ranker(table, confusions, grid=(1.0,), splits=2).ranker
    ranker.save(tmp_path / "ranker.safetensors")
    read = Ranker.load(tmp_path / "ranker.safetensors")
    assert (read.blocks, read.columns) == (ranker.blocks, ranker.columns)
    np.testing.assert_array_equal(read.scores(table), ranker.scores(table))


def test_what_does_not_fit_is_refused(tmp_path):
    table, confusions = table_of()
    ranker = fit_ranker(table, confusions, grid=(1.0,), splits=2).ranker
    renamed = replace(table, columns={**table.columns, "first": ("a", "other")})
    with pytest.raises(CheckpointError, match="other columns"):
        ranker.scores(renamed)
    with pytest.raises(ConfigError, match="choose some of"):
        fit_ranker(table, confusions, blocks=["third"])
    with pytest.raises(ConfigError, match="has no C"):
        fit_ranker(table, confusions, estimator=HistGradientBoostingRegressor())
    done: list[int] = []
    with pytest.raises(ConfigError, match="distinct classes"):
        fit_ranker(table, confusions, classes=[99], advance=done.append)
    assert not done  # before the first fold
    write_arrays(tmp_path / "other.safetensors", {"mean": np.zeros(2)})
    with pytest.raises(CheckpointError, match="does not hold"):
        Ranker.load(tmp_path / "other.safetensors")
    about = {"format": "tinysegrank ranker 1", "blocks": '["first"]', "columns": '["a"]'}
    arrays = {"mean": np.zeros(2), "scale": np.zeros(1), "coefficients": np.zeros(1)}
    write_arrays(tmp_path / "short.safetensors", arrays, about=about)
    with pytest.raises(CheckpointError, match="does not fit"):
        Ranker.load(tmp_path / "short.safetensors")
