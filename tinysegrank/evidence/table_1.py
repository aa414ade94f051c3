"""Table 1: the IoU of each class beside the paper's rows, and the re-ranking features alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.ablation import fit_subset
from tinysegrank.evidence.claims import (
    Ordering,
    Statement,
    check_claims,
    not_compared,
    over_images,
    verdict_of_counts,
)
from tinysegrank.evidence.measures import class_names, described, summed, system_confusions
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.experiment.stages.described import read_columns
from tinysegrank.metrics import Confusion
from tinysegrank.reporting import TABLE_1, TABLE_1_AVERAGE
from tinysegrank.voc import CLASS_NAMES

BLOCK, RERANK = "rerank", "DivMBest+ReRank"
RERANK_ALONE = "re-ranking by these features alone (48.1 on test) is 1.6 points above the 1-best, O2P (46.5)."


def _classes_improved(better: str, worse: str) -> Statement:
    """Return the statement in how many classes a row of Table 1 is above another."""
    gains = [a > b for a, b in zip(TABLE_1[better], TABLE_1[worse], strict=True)]
    return Statement(
        f"{better} is above {worse} in {sum(gains)} of {len(gains)} classes (counted in Table 1).",
        "{better} is above the 1-best in {above} of {present} classes{lost}.",
        verdict_of_counts,
        ("above", "below"),
    )


class Rows(NamedTuple):
    """A piece about single classes.

    Attributes:
        better: the method that is compared with the 1-best class by class.
        statements: the paper's sentences.
        title, figure_title: of the table and of the figure.
        paper, drawn: the paper's rows in the table and in the figure.
    """

    better: str
    statements: tuple[Ordering | Statement, ...]
    title: str
    figure_title: str
    paper: tuple[str, ...]
    drawn: tuple[str, ...]


_AVERAGE = TABLE_1_AVERAGE
WHOLE = Rows(
    "SegNet+SVM",
    (
        Ordering(
            f"the whole approach, SegNets, reaches {_AVERAGE['SegNets']} on test, "
            f"{_AVERAGE['SegNets'] - _AVERAGE['O2P']:.1f} points above O2P ({_AVERAGE['O2P']}), which is the 1-best "
            "proposal.",
            "SegNet+SVM",
            "the 1-best proposal",
        ),
        _classes_improved("SegNets", "O2P"),
        Statement(
            f"its average over 21 classes, {_AVERAGE['SegNets']}, is above those of UDS ({_AVERAGE['UDS']}) and SDS "
            f"({_AVERAGE['SDS']}).",
            "those two systems are not part of this package; their rows are there to read beside ours.",
            not_compared,
        ),
    ),
    "Table 1: IoU of each class",
    "Table 1",
    ("SegNets", "O2P", RERANK, "UDS", "SDS"),
    ("SegNets", "O2P"),
)
ALONE = Rows(
    RERANK,
    (
        Ordering(RERANK_ALONE, RERANK, "the 1-best"),
        Ordering(
            "the whole approach (52.5 on test; 53 on val) is 4.4 points above them (48.1; 48.1 on val).",
            "SegNet+SVM",
            RERANK,
        ),
        _classes_improved(RERANK, "O2P"),
    ),
    "The re-ranking features alone: IoU of each class",
    RERANK,
    (RERANK, "O2P", "SegNets"),
    (RERANK, "O2P"),
)


def compare_classes(request: Request) -> Finding:
    """Compare SegNet+SVM, the 1-best proposal and the oracle with the rows of Table 1."""
    methods = system_confusions(request.run, ("SegNet+SVM", "1-best", "oracle"))
    return _compare(request.run, WHOLE, methods, drawn=("SegNet+SVM", "1-best"))


def compare_rerank_alone(request: Request) -> Finding:
    """Rank by the block alone, and compare with the 1-best and SegNet+SVM."""
    run = request.run
    train, val = described(run, "train"), described(run, "val")
    alone = val.confusions[fit_subset(run, train, val, (BLOCK,)).rows]
    methods = {RERANK: alone, **system_confusions(run, ("1-best", "SegNet+SVM"))}
    return _compare(run, ALONE, methods, drawn=tuple(methods))


def _compare(run: Run, rows: Rows, methods: dict[str, np.ndarray], *, drawn: tuple[str, ...]) -> Finding:
    ours = {name: summed(of_images) for name, of_images in methods.items()}
    better, worse = ours[rows.better], ours["1-best"]
    present = np.flatnonzero(better.matrix.sum(axis=1))
    gains = better.iou()[present] - worse.iou()[present]
    above, below = int((gains > 0).sum()), int((gains < 0).sum())
    lost = f", below it in {below} ({class_names(present[gains < 0])})" if below else ""
    measured = {"better": rows.better, "above": above, "below": below, "present": len(present), "lost": lost}
    measured |= methods | dict.fromkeys(("the 1-best", "the 1-best proposal"), methods["1-best"])
    table = reporting.per_class_table(ours, title=rows.title, common=run.settings.report.classes, paper=rows.paper)
    draw = partial(_draw, ours={name: ours[name] for name in drawn}, paper=rows.drawn, title=rows.figure_title)
    claims = check_claims(rows.statements, measured, over_images(run))
    return Finding(claims, table, draw, (_note(run.settings),))


def _draw(path: Path, *, ours: dict[str, Confusion], paper: Sequence[str], title: str) -> None:
    """Draw bars of each class in the truth."""
    present = np.flatnonzero(next(iter(ours.values())).matrix.sum(axis=1))
    series: dict[str, list[float | None]] = {
        name: [float(100 * confusion.iou()[index]) for index in present] for name, confusion in ours.items()
    }
    series |= {f"{name} (paper, test)": [TABLE_1[name][index] for index in present] for name in paper}
    groups = [CLASS_NAMES[index] for index in present]
    reporting.bars(path, groups, series, label="IoU of the class, per cent", title=title)


def _note(settings: Settings) -> str:
    return (
        f"Ours are on {settings.data.val} of {Path(settings.data.voc).name}, the paper's on the test set of VOC 2012, "
        "whose truth is not public; its networks learnt from some 12,000 images."
    )


def _lacks_block(run: Run) -> str:
    blocks = list(read_columns(run))
    return "" if BLOCK in blocks else f'a block "{BLOCK}" of features; its proposals are described by {blocks}'


PIECE = Piece("table-1", "Table 1: the classes, beside the paper's rows", compare_classes, ("data", "evaluation"))
PIECE_ALONE = Piece(
    "rerank-alone",
    f"Table 1's row {RERANK}: the re-ranking features alone",
    compare_rerank_alone,
    ("data", "described", "evaluation"),
    _lacks_block,
)
