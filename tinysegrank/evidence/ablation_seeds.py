"""Section 5's ablation and Eq. 17's background term, over several seeds of SegNet's training and of the ranker."""

from __future__ import annotations

from functools import partial

import numpy as np

from tinysegrank.evidence import background_term, rerank_alone
from tinysegrank.evidence.ablation import (
    BY_EQ_17,
    EQ_17,
    PAPER,
    SAID,
    block_names,
    eq17_by_features,
    fit_subsets,
)
from tinysegrank.evidence.over_seeds import (
    NOTES,
    draw_over_seeds,
    lacks,
    runs_of_seeds,
    seeds_claim,
    seeds_table,
)
from tinysegrank.evidence.pieces import Asked, Finding, Piece
from tinysegrank.evidence.sources import described, mean_headings, means, total
from tinysegrank.experiment.runner import Run
from tinysegrank.metrics import Confusion
from tinysegrank.ranking import pick

FIRST = "1-best, no ranking"
NO_TERM = "Eq. 17 without its background term"


def find(asked: Asked) -> Finding:
    """Fit the rankers of all seeds, and compare what they pick."""
    counts = [pick_confusions(run) for run in runs_of_seeds(asked)]
    headings = mean_headings(asked.run, counts[0][FIRST])
    values = {name: np.array([means(asked.run, of_seed[name]) for of_seed in counts]) for name in counts[0]}
    paper: dict[str, float | None] = {_name(blocks): value for blocks, value in PAPER.items()}
    said = [(one.paper, _name(one.better), _name(one.worse), one.same) for one in SAID]
    said.append((rerank_alone.SAID, block_names((rerank_alone.BLOCK,)), FIRST, False))
    said.append((background_term.SAID, EQ_17, NO_TERM, False))
    claims = tuple(
        seeds_claim(sentence, better, worse, values, same=same)
        for sentence, better, worse, same in said
        if better in values and worse in values
    )
    table = seeds_table("Blocks of features", "features", headings, values, asked.seeds, paper)
    draw = partial(draw_over_seeds, values=values, paper=paper, title="Ablation over seeds")
    return Finding(claims, table, draw, NOTES)


def pick_confusions(run: Run) -> dict[str, Confusion]:
    """Confusions on val of the first proposals, of Eq. 17's picks with and without its term, and of each ranker's."""
    train, val = described(run, "train"), described(run, "val")
    groups = val.table.groups
    rows = {
        FIRST: np.flatnonzero(val.table.proposals == 0),
        EQ_17: pick(-val.distances[run.settings.ranking.loss], groups),
    }
    if "segnet" in val.table.blocks:
        rows[NO_TERM] = pick(-eq17_by_features(val.table, 0.0), groups)
    rows |= {subset.name: subset.rows for subset in fit_subsets(run, train, val)}
    return {name: total(val.confusions[of]) for name, of in rows.items()}


def _name(blocks: tuple[str, ...]) -> str:
    return EQ_17 if blocks == BY_EQ_17 else block_names(blocks)


PIECE = Piece(
    "ablation-seeds",
    "Section 5's ablation and Eq. 17's background term over seeds",
    find,
    ("data", "described", "evaluation"),
    lacks,
    seeded=True,
)
