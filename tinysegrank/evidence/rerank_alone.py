"""The re-ranking features of Yadollahpour et al. alone: Table 1's row DivMBest+ReRank, by this run's ranker."""

from __future__ import annotations

import numpy as np

from tinysegrank.evidence.ablation import fit_subset
from tinysegrank.evidence.pieces import Asked, Finding, Piece
from tinysegrank.evidence.sources import compare, described, picked_rows, total
from tinysegrank.evidence.table_1 import class_table, classes_improved, draw, notes
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.described import read_columns

BLOCK = "rerank"
NAME = "DivMBest+ReRank"
SAID = "re-ranking by these features alone (48.1 on test) is 1.6 points above the 1-best, O2P (46.5)."


def find(asked: Asked) -> Finding:
    """Rank by the block alone, and set it beside the 1-best and SegNet+SVM."""
    run = asked.run
    train, val = described(run, "train"), described(run, "val")
    alone = fit_subset(run, train, val, (BLOCK,)).rows
    picks = {NAME: alone, "1-best": np.flatnonzero(val.table.proposals == 0), "SegNet+SVM": picked_rows(run, "svm")}
    matrices = {name: val.confusions[rows] for name, rows in picks.items()}
    ours = {name: total(of_images) for name, of_images in matrices.items()}
    claims = (
        compare(
            run,
            SAID,
            (NAME, matrices[NAME]),
            ("the 1-best", matrices["1-best"]),
        ),
        compare(
            run,
            "the whole approach (52.5 on test; 53 on val) is 4.4 points above them (48.1; 48.1 on val).",
            ("SegNet+SVM", matrices["SegNet+SVM"]),
            (NAME, matrices[NAME]),
        ),
        classes_improved(ours[NAME], ours["1-best"], NAME, "O2P", NAME, "the 1-best"),
    )
    paper = (NAME, "O2P", "SegNets")
    table = class_table(run, ours, "The re-ranking features alone: IoU of each class", paper)
    return Finding(claims, table, lambda path: draw(path, ours, (NAME, "O2P"), NAME), notes(run))


def lacks(run: Run) -> str:
    """Whether the run's proposals have the block."""
    blocks = list(read_columns(run)) if run.stamp("described").complete else []
    return "" if BLOCK in blocks else f'a block "{BLOCK}" of features; its proposals are described by {blocks}'


PIECE = Piece(
    "rerank-alone", f"Table 1's row {NAME}: the re-ranking features alone", find, ("data", "described", "picked"), lacks
)
