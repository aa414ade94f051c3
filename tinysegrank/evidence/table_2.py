"""Table 2: every way of labelling val, this run's means beside the paper's, and the orderings that the paper draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.pieces import Asked, Claim, Finding, Piece
from tinysegrank.evidence.sources import compare, described, per_cent, total
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import report
from tinysegrank.experiment.stages.evaluation import read_confusions, read_counts
from tinysegrank.ranking import oracle_picks
from tinysegrank.reporting import TABLE_2, Table

SAID = {  # (better, worse) of report.ORDERINGS that Table 2 does not have as two figures
    ("SegNet+SVM", "1-best"): "re-ranking improves on the 1-best proposal (Table 1: 52.5 over 46.5, on test).",
    ("oracle", "SegNet+SVM"): "re-ranking leaves much to gain: it adds 6 points to the 1-best (Table 1), the best "
    "proposals would add 15 (section 3.3).",
}
_FEW = 10  # proposals, of section 3.3


def find(asked: Asked) -> Finding:
    """Set the means of all systems beside the paper's, and each ordering beside ours."""
    run, counts = asked.run, read_counts(asked.run)
    table = report.tables(run, counts)["table_2"]
    matrices = system_confusions(run)
    claims = tuple(
        compare(run, said(better, worse), (better, matrices[better]), (worse, matrices[worse]))
        for better, worse in report.ORDERINGS
    )
    return Finding((*claims, fifteen_points(run, matrices)), table, lambda path: draw(path, run, table, matrices))


def said(better: str, worse: str) -> str:
    """The paper's ordering in words."""
    if (better, worse) in SAID:
        return SAID[better, worse]
    gap = TABLE_2[better] - TABLE_2[worse]
    return f"{better} ({TABLE_2[better]}) is {gap:.1f} points above {worse} ({TABLE_2[worse]})."


def system_confusions(run: Run) -> dict[str, np.ndarray]:
    """The confusion of each image of val, (N, K, K), by the system's name in Table 2."""
    loss = run.settings.ranking.loss
    return {name: read_confusions(run, place.format(loss=loss)) for name, place in report.TABLE_2.items()}


def fifteen_points(run: Run, matrices: dict[str, np.ndarray]) -> Claim:
    """The lead of the oracle among ten proposals over the 1-best."""
    held = described(run, "val")
    rows = oracle_picks(held.table.quality, held.table.groups, first=_FEW)
    return compare(
        run,
        "the oracle among just 10 proposals is 15 points above the 1-best (section 3.3).",
        (f"the oracle among {min(_FEW, run.settings.proposals.count)}", held.confusions[rows]),
        ("the 1-best", matrices["1-best"]),
    )


def draw(path: Path, run: Run, table: Table, matrices: dict[str, np.ndarray]) -> None:
    """Bars of the systems."""
    groups = [str(row[0]) for row in table.rows]
    ours: list[float | None] = [per_cent(run, total(matrices[name])) for name in groups]
    series: dict[str, list[float | None]] = {"this run": ours, "the paper": [TABLE_2.get(name) for name in groups]}
    reporting.bars(path, groups, series, label="mean IoU on val, per cent", title="Table 2")


PIECE = Piece(
    "table-2", "Table 2: every way of labelling val", find, ("data", "upsampled", "described", "picked", "evaluation")
)
