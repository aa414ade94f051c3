"""Module 2 of the run, second step: the ranker, fitted on the training images' out-of-fold features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinysegrank.experiment.images import IMAGES
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.stages.described import load_described
from tinysegrank.files import write_json
from tinysegrank.ranking import RANKERS, FittedRanker, Ranker, StoredTable, fit_ranker
from tinysegrank.stored_rows import StoredRows

_FILE = "ranker.safetensors"


def make(run: Run) -> None:
    """Fit the ranker, choosing C by cross-validation; write it, and the mean IoU of held-out picks for each C."""
    table, confusions, _ = load_described(run, "train")
    ranking = run.settings.ranking
    with run.progress.count("folds of the ranker", min(ranking.splits, len(table.images))) as advance:
        fitted = fit_on_blocks(run, table, confusions, ranking.blocks, advance=advance)
    chosen, folder = fitted.chosen, run.folder(STAGE.name)
    run.progress.say(f"C = {chosen.C:g}: {max(chosen.accuracy):.1%} mean IoU of held-out picks on training images")
    tried = dict(zip(map(str, chosen.grid.tolist()), chosen.accuracy.tolist(), strict=True))
    write_json(folder / "chosen.json", {"C": chosen.C, "tried": tried, "pairs": fitted.pairs})
    fitted.ranker.save(folder / _FILE)


def load_ranker(run: Run) -> Ranker:
    """Read the ranker."""
    return Ranker.load(run.folder(STAGE.name) / _FILE)


def fit_on_blocks(
    run: Run,
    table: StoredTable,
    confusions: np.ndarray | StoredRows,
    blocks: Sequence[str],
    *,
    advance: Callable[[int], None] | None = None,
) -> FittedRanker:
    """Fit the run's kind of ranker on some blocks of a table, choosing C by cross-validation over the images.

    confusions | (rows, K, K) | integer | pixels of each row's proposal; row: true class
    """
    ranking, classes = run.settings.ranking, run.settings.report.classes or None
    kind = RANKERS[ranking.ranker]
    return fit_ranker(
        table,
        confusions,
        blocks=blocks,
        balance=True,
        estimator=kind.estimator(),
        grid=ranking.C or kind.grid,
        splits=ranking.splits,
        seed=run.settings.seed,
        classes=classes,
        jobs=run.jobs,
        advance=advance,
    )


STAGE = Stage(
    "ranker",
    make,
    (IMAGES[0], "described/train", "described/columns.json"),
    lambda s: [s.ranking, s.seed, s.report.classes],
)
