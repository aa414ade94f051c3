"""Table 1: the IoU of each class, this run's rows beside the paper's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.pieces import APART, Asked, Claim, Finding, Piece
from tinysegrank.evidence.sources import class_names, compare, described, picked_rows
from tinysegrank.evidence.verdicts import verdict_of_counts
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.metrics import Confusion
from tinysegrank.reporting import TABLE_1, TABLE_1_AVERAGE, Table
from tinysegrank.voc import CLASS_NAMES

PAPER_ROWS = ("SegNets", "O2P", "DivMBest+ReRank", "UDS", "SDS")


def find(asked: Asked) -> Finding:
    """Set SegNet+SVM, the 1-best proposal and the oracle beside the rows of Table 1."""
    run, counts = asked.run, read_counts(asked.run)
    ours = {
        "SegNet+SVM": counts["picked/svm"],
        "1-best": counts["picked/1-best"],
        "oracle": counts["picked/oracle"],
    }
    confusions = described(run, "val").confusions
    rows = {
        name: confusions[picked_rows(run, system)] for name, system in (("SegNet+SVM", "svm"), ("1-best", "1-best"))
    }
    gain = TABLE_1_AVERAGE["SegNets"] - TABLE_1_AVERAGE["O2P"]
    claims = (
        compare(
            run,
            f"the whole approach, SegNets, reaches {TABLE_1_AVERAGE['SegNets']} on test, {gain:.1f} points above O2P "
            f"({TABLE_1_AVERAGE['O2P']}), which is the 1-best proposal.",
            ("SegNet+SVM", rows["SegNet+SVM"]),
            ("the 1-best proposal", rows["1-best"]),
        ),
        classes_improved(ours["SegNet+SVM"], ours["1-best"], "SegNets", "O2P", "SegNet+SVM", "the 1-best"),
        Claim(
            f"its average over 21 classes, {TABLE_1_AVERAGE['SegNets']}, is above those of UDS "
            f"({TABLE_1_AVERAGE['UDS']}) and SDS ({TABLE_1_AVERAGE['SDS']}).",
            "those two systems are not part of this package; their rows are there to read beside ours.",
            APART,
        ),
    )
    table = class_table(run, ours, "Table 1: IoU of each class", PAPER_ROWS)
    drawn = {name: ours[name] for name in rows}
    return Finding(claims, table, lambda path: draw(path, drawn, ("SegNets", "O2P"), "Table 1"), notes(run))


def class_table(run: Run, ours: dict[str, Confusion], title: str, paper: tuple[str, ...]) -> Table:
    """A row a class: this run's methods on val, and rows of the paper on test."""
    return reporting.per_class_table(ours, title=title, common=run.settings.report.classes, paper=paper)


def classes_improved(
    better: Confusion, worse: Confusion, paper_better: str, paper_worse: str, better_name: str, worse_name: str
) -> Claim:
    """In how many classes the better method is better: in Table 1, and here."""
    published = [a > b for a, b in zip(TABLE_1[paper_better], TABLE_1[paper_worse], strict=True)]
    present = np.flatnonzero(better.matrix.sum(axis=1))
    gains = better.iou()[present] - worse.iou()[present]
    above, below = int((gains > 0).sum()), int((gains < 0).sum())
    lost = f", below it in {below} ({class_names(present[gains < 0])})" if below else ""
    return Claim(
        f"{paper_better} is above {paper_worse} in {sum(published)} of {len(published)} classes (counted in Table 1).",
        f"{better_name} is above {worse_name} in {above} of {len(present)} classes{lost}.",
        verdict_of_counts(above, below),
    )


def draw(path: Path, ours: dict[str, Confusion], paper: tuple[str, ...], title: str) -> None:
    """Bars of each class in the truth."""
    present = np.flatnonzero(next(iter(ours.values())).matrix.sum(axis=1))
    series: dict[str, list[float | None]] = {
        name: [float(100 * confusion.iou()[index]) for index in present] for name, confusion in ours.items()
    }
    series |= {f"{name} (paper, test)": [TABLE_1[name][index] for index in present] for name in paper}
    groups = [CLASS_NAMES[index] for index in present]
    reporting.bars(path, groups, series, label="IoU of the class, per cent", title=title)


def notes(run: Run) -> tuple[str, ...]:
    """What keeps this run's figures from being compared with the paper's as they are."""
    settings = run.settings
    return (
        f"Ours are on {settings.data.val} of {Path(settings.data.voc).name}, the paper's on the test set of VOC 2012, "
        "whose truth is not public; its networks learnt from some 12,000 images.",
    )


PIECE = Piece(
    "table-1", "Table 1: the classes, beside the paper's rows", find, ("data", "described", "picked", "evaluation")
)
