"""A linear ranker of feature tables: standardise the columns of some blocks, and weight them by fitted coefficients."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np

from tinysegrank.errors import CheckpointError
from tinysegrank.fitted import About, Arrays, Fitted
from tinysegrank.parallel import one_blas_thread
from tinysegrank.ranking.cross_validation import ChosenC, choose_C
from tinysegrank.ranking.table import FeatureTable, StoredTable, chosen_blocks
from tinysegrank.stored_rows import StoredRows, row_blocks

if TYPE_CHECKING:
    from tinysegrank.ranking.estimator import LinearRanker  # scikit-learn, which takes most of a second to import

_PAIRS_GRID = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3)  # larger C overfits a thousand columns, and takes minutes more


class RankerKind(NamedTuple):
    """A kind of ranker.

    Attributes:
        estimator: class or function that, called without arguments, returns a `LinearRanker` to fit. It needs
            fit(X, quality, groups), a parameter C and, once fitted, coef_ and n_features_in_.
        grid: values of C to choose from.
    """

    estimator: Callable[[], LinearRanker]
    grid: Sequence[float]


def _rank_svm(pairs: Literal["oracle", "all"] = "oracle") -> LinearRanker:
    from tinysegrank.ranking.svm import RankSVM

    return RankSVM(pairs=pairs)


RANKERS: dict[str, RankerKind] = {
    "oracle-pairs": RankerKind(_rank_svm, _PAIRS_GRID),
    "all-pairs": RankerKind(partial(_rank_svm, "all"), _PAIRS_GRID),
}
"""The rankers by name. Add one of your own as `ranking.RANKERS["mine"] = RankerKind(estimator, grid)`."""


@dataclass(frozen=True, eq=False)
class Ranker(Fitted, tag="tinysegrank ranker 1", shapes={"mean": ("d",), "scale": ("d",), "coefficients": ("d",)}):
    """A linear function of standardised features that scores the rows of a feature table.

    blocks       | (blocks,) | str     | names of the blocks used, in order
    columns      | (d,)      | str     | names of their columns
    mean         | (d,)      | float64 | mean of the training rows
    scale        | (d,)      | float64 | their standard deviation, divided by the column's weight; 0 if constant
    coefficients | (d,)      | float64 | coefficients of the standardised columns
    """

    blocks: tuple[str, ...]
    columns: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray

    def scores(self, table: FeatureTable | StoredTable) -> np.ndarray:
        """Score the rows of a table; only differences between rows of one image are meaningful.

        returns | (rows,) | float64 | larger is better

        Raises:
            ConfigError: the table lacks a block.
            CheckpointError: its blocks have other columns than in `fit_ranker`.
        """
        if table.names(self.blocks) != self.columns:
            raise CheckpointError(f"ranker: fitted on other columns of {list(self.blocks)}; fit it again")
        X = table.select(self.blocks)  # (rows, d)
        inverse = np.divide(1, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)
        weights = self.coefficients * inverse
        return np.concatenate([X[rows] @ weights for rows in row_blocks(len(table))]) - self.mean @ weights

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        arrays = {"mean": self.mean, "scale": self.scale, "coefficients": self.coefficients}
        return arrays, {"blocks": json.dumps(self.blocks), "columns": json.dumps(self.columns)}

    @classmethod
    def _restore(cls, arrays: Arrays, about: About) -> Self:
        blocks, columns = tuple(json.loads(about["blocks"])), tuple(json.loads(about["columns"]))
        if len(columns) != len(arrays["mean"]):
            raise ValueError(f"{len(columns)} names for {len(arrays['mean'])} columns")
        return cls(blocks, columns, arrays["mean"], arrays["scale"], arrays["coefficients"])


class FittedRanker(NamedTuple):
    """A ranker, the choice of its C, and the number of pairs of proposals that it was trained on, 0 if unknown."""

    ranker: Ranker
    chosen: ChosenC
    pairs: int


def fit_ranker(
    table: FeatureTable | StoredTable,
    confusions: np.ndarray | StoredRows,
    *,
    blocks: Sequence[str] | None = None,
    balance: bool = False,
    estimator: LinearRanker | None = None,
    splits: int = 5,
    **choice: Any,
) -> FittedRanker:
    """Choose C by cross-validation over the images of a table, then fit on all of them.

    confusions | (rows, K, K) | integer | pixels of the proposal alone (metrics.image_confusions)

    Args:
        table: features and quality of the training images' proposals. A `StoredTable`'s features are in memory once,
            and once more in each worker process.
        blocks: blocks of the table to use; all by default.
        balance: True to weight columns by `balancing_weights`, so that blocks count equally whatever their numbers of
            columns.
        estimator: a linear ranker with a C; RankSVM() by default.
        splits: number of folds of the cross-validation; fewer if there are fewer images.
        choice: other options of `choose_C`: grid, seed, classes, jobs, advance.

    Raises:
        ConfigError: a block is unknown or duplicated, or there is none, or see `choose_C`.
        ShapeError: see `choose_C`.
    """
    from sklearn.base import clone

    from tinysegrank.ranking.estimator import Standardizer

    columns, X = table.names(blocks), table.select(blocks)
    estimator = estimator or _rank_svm()
    weights = balancing_weights(table, blocks) if balance else None
    options = {"folds": min(splits, len(table.images)), "estimator": estimator, "weights": weights, **choice}
    chosen = choose_C(X, table.quality, table.groups, confusions, **options)
    X = np.asarray(X)  # a copy of the table's
    standardizer = Standardizer(weights).fit(X)
    fitted = clone(estimator).set_params(C=chosen.C)
    one_blas_thread(fitted.fit, standardizer.transform(X, copy=False), table.quality, table.groups)
    kept = tuple(chosen_blocks(blocks, table.columns))
    ranker = Ranker(kept, columns, standardizer.mean_, standardizer.scale_, fitted.coef_)
    return FittedRanker(ranker, chosen, int(getattr(fitted, "n_pairs_", 0)))


def balancing_weights(table: FeatureTable | StoredTable, blocks: Sequence[str] | None = None) -> np.ndarray:
    """Return weights of d standardised columns: the sum of variances becomes the same in every block, and d in all.

    Without them a block of 1,107 columns outweighs one of 86, since many small coefficients have a small penalty in a
    linear ranker.

    returns | (d,) | float64 | the same within a block; all 1 if there is one block

    Args:
        blocks: blocks of the table that the columns are from; all by default.
    """
    sizes = np.array([len(table.columns[name]) for name in chosen_blocks(blocks, table.columns)])
    return np.repeat(np.sqrt(sizes.sum() / (len(sizes) * sizes)), sizes)
