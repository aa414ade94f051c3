"""Table 2 and the ablation over several seeds of SegNet's training and the ranker, on the same proposals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence import ablation
from tinysegrank.evidence.background_term import IMPROVES
from tinysegrank.evidence.claims import SEEDS_RULE, Ordering
from tinysegrank.evidence.measures import bars_beside_paper, means, read_described, system_confusions
from tinysegrank.evidence.piece import EVIDENCE, Finding, Piece, Request
from tinysegrank.evidence.tables import BLOCK, RERANK_ALONE, ordering
from tinysegrank.experiment.derived import run_seed, stages_read
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import data, described, evaluation, report
from tinysegrank.ranking import pick
from tinysegrank.reporting import Cell, Column, Table

_RUNS = "seeds"  # the piece in whose folder the runs of other seeds are stored
_SYSTEMS = tuple(name for name in report.TABLE_2 if name not in ("1-best", "oracle"))  # these don't depend on a seed
_PAIRS = (
    ("superpixel upsampling", "naive upsampling"), ("SegNet-UOI", "SegNet-CE"), ("SegNet-UOI-CE", "SegNet-UOI"),
    ("SegNet-UOI-CE", "SegNet-CE"), ("SegNet+SVM", "SegNet-UOI-CE"),
)  # fmt: skip
_FIRST, _NO_TERM = "1-best, no ranking", "Eq. 17 without its background term"
_OTHERS = (Ordering(RERANK_ALONE, ablation.block_names((BLOCK,)), _FIRST), Ordering(IMPROVES, ablation.EQ_17, _NO_TERM))
_TABLE_NOTE = (
    "Corpus IoU on val in per cent; the spread is the standard deviation of one seed. The single seeds are of the "
    "first mean."
)
_NOTES = (
    "The seed draws the random head, the order of the images, the dropout, and the folds by which the ranker's C is "
    "chosen. Proposals, their other features and the folds of the training images are those of the run.",
    SEEDS_RULE,
)


class Methods(NamedTuple):
    """Methods that are compared over seeds, and what the paper says of them."""

    confusions: Callable[[Run], Mapping[str, np.ndarray]]  # of a run: (N, K, K) by method, one matrix per image of val
    orderings: Sequence[Ordering]
    paper: Mapping[str, float]  # the paper's values in per cent, by method
    headings: tuple[str, str, str]  # title of the table, heading of the methods, title of the figure


def compare_over_seeds(request: Request, *, methods: Methods) -> Finding:
    """Tabulate the mean over seeds of each method's mean IoU, the spread, and each seed's value, beside the paper's."""
    confusions, orderings, paper, headings = methods
    of_seeds = [confusions(_run_of(request, seed)) for seed in request.seeds]
    first_means: dict[str, np.ndarray] = {}
    rows: list[tuple[Cell, ...]] = []
    for name in of_seeds[0]:
        of_name = [means(request.run, of[name]) for of in of_seeds]
        others, values = [heading for heading, _ in of_name[0]], np.array([[mean for _, mean in of] for of in of_name])
        first_means[name] = first = values[:, 0]  # (seeds,)
        spread = float(first.std(ddof=1)) if len(first) > 1 else None
        cells = (float(first.mean()), spread, float(first.min()), float(first.max()))
        rows.append((name, *cells, *values[:, 1:].mean(axis=0).tolist(), *first.tolist(), paper.get(name)))
    columns = (
        *(Column(headings[1]), Column(others[0]), Column("spread", ".2f"), Column("smallest"), Column("largest")),
        *map(Column, (*others[1:], *(f"seed {seed}" for seed in request.seeds), "paper (val)")),
    )
    table = Table(f"{headings[0]}, seeds {', '.join(map(str, request.seeds))}", columns, tuple(rows), _TABLE_NOTE)
    return Finding(orderings, first_means, table, bars_beside_paper(first_means, paper, headings[2]), _NOTES)


def _run_of(request: Request, seed: int) -> Run:
    """Return the run itself if the seed is its own, else the derived run of that seed, brought up to date."""
    run = request.run
    if seed == run.settings.seed:
        return run
    run.progress.say(f"seed {seed}")
    return run_seed(run, run.folder(EVIDENCE) / _RUNS / f"seed-{seed}", seed, request.lock)


def _picks(run: Run) -> dict[str, np.ndarray]:
    """Return the confusion matrices of first proposals and of the picks of Eq. 17 and of the ablation's rankers.

    There are two entries for Eq. 17, with and without its background term.
    """
    val, (eq17, *rankers) = read_described(run, "val"), ablation.rankings(run)
    rows = {_FIRST: np.flatnonzero(val.table.proposals == 0), eq17.name: eq17.rows}
    rows[_NO_TERM] = pick(-ablation.eq17_by_features(val.table, 0.0), val.table.groups)
    rows |= {ranker.name: ranker.rows for ranker in rankers}
    return {name: val.confusions[of] for name, of in rows.items()}


_OF_TABLE_2 = Methods(partial(system_confusions, names=_SYSTEMS), [ordering(*pair) for pair in _PAIRS],
                      reporting.TABLE_2, ("Systems", "method", "Over seeds"))  # fmt: skip
_OF_ABLATION = Methods(_picks, (*ablation.ORDERINGS, *_OTHERS), ablation.PAPER,
                       ("Blocks of features", "features", "Ablation over seeds"))  # fmt: skip
PIECES = (
    Piece(_RUNS, "Seeds: what the small differences are worth", partial(compare_over_seeds, methods=_OF_TABLE_2),
          (data.STAGE, evaluation.STAGE), also=stages_read, seeded=True),
    Piece("ablation-seeds", "Section 5's ablation and Eq. 17's background term over seeds",
          partial(compare_over_seeds, methods=_OF_ABLATION), (data.STAGE, described.STAGE, evaluation.STAGE),
          also=stages_read, seeded=True),
)  # fmt: skip
