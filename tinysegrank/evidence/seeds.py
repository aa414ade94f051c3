"""Table 2's small differences, over several seeds of SegNet's training and of the ranker, on the same proposals."""

from __future__ import annotations

from functools import partial

import numpy as np

from tinysegrank.evidence.over_seeds import (
    NOTES,
    TRAININGS,
    draw_over_seeds,
    lacks,
    runs_of_seeds,
    seeds_claim,
    seeds_table,
)
from tinysegrank.evidence.pieces import Asked, Finding, Piece
from tinysegrank.evidence.sources import mean_headings, means
from tinysegrank.evidence.table_2 import said
from tinysegrank.experiment.stages import report
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.reporting import TABLE_2

SEEDED = tuple(name for name in report.TABLE_2 if name not in ("1-best", "oracle"))  # these do not depend on a seed
PAIRS = (
    ("superpixel upsampling", "naive upsampling"),
    ("SegNet-UOI", "SegNet-CE"),
    ("SegNet-UOI-CE", "SegNet-UOI"),
    ("SegNet-UOI-CE", "SegNet-CE"),
    ("SegNet+SVM", "SegNet-UOI-CE"),
)


def find(asked: Asked) -> Finding:
    """Make what depends on the seed anew for each of them, and compare."""
    run = asked.run
    counts = [read_counts(of_seed) for of_seed in runs_of_seeds(asked)]
    places = {name: report.TABLE_2[name].format(loss=run.settings.ranking.loss) for name in SEEDED}
    headings = mean_headings(run, counts[0][places[SEEDED[0]]])
    values = {name: np.array([means(run, of_seed[place]) for of_seed in counts]) for name, place in places.items()}
    paper = {name: TABLE_2[name] for name in SEEDED}
    table = seeds_table("Systems", "method", headings, values, asked.seeds, paper)
    claims = tuple(seeds_claim(said(better, worse), better, worse, values) for better, worse in PAIRS)
    draw = partial(draw_over_seeds, values=values, paper=paper, title="Over seeds")
    return Finding(claims, table, draw, NOTES)


PIECE = Piece(
    TRAININGS, "Seeds: what the small differences are worth", find, ("data", "evaluation"), lacks, seeded=True
)
