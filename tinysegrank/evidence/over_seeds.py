"""Table 2 and the ablation over several seeds of SegNet's training and of the ranker, on the same proposals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.ablation import (
    EQ_17,
    ORDERINGS,
    PAPER,
    block_names,
    eq17_by_features,
    fit_subsets,
    picks_of_eq17,
)
from tinysegrank.evidence.background_term import IMPROVES
from tinysegrank.evidence.claims import SEEDS_RULE, Ordering, check_claims, over_seeds
from tinysegrank.evidence.measures import described, draw_beside_paper, mean_headings, means, summed
from tinysegrank.evidence.piece import EVIDENCE, Finding, Piece, Request
from tinysegrank.evidence.table_1 import BLOCK, RERANK_ALONE
from tinysegrank.evidence.table_2 import ordering
from tinysegrank.experiment.derived import run_seed, stages_read
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import report
from tinysegrank.experiment.stages.evaluation import folder_of, read_counts
from tinysegrank.metrics import Confusion
from tinysegrank.ranking import pick
from tinysegrank.reporting import Cell, Column, Table

_RUNS = "seeds"  # the piece in whose folder the runs of other seeds are stored
_SYSTEMS = tuple(name for name in report.TABLE_2 if name not in ("1-best", "oracle"))  # these don't depend on a seed
_PAIRS = (
    ("superpixel upsampling", "naive upsampling"),
    ("SegNet-UOI", "SegNet-CE"),
    ("SegNet-UOI-CE", "SegNet-UOI"),
    ("SegNet-UOI-CE", "SegNet-CE"),
    ("SegNet+SVM", "SegNet-UOI-CE"),
)
_FIRST, _NO_TERM = "1-best, no ranking", "Eq. 17 without its background term"
_NOTES = (
    "The seed draws the random head, the order of the images, the dropout, and the folds by which the ranker's C is "
    "chosen. Proposals, their other features and the folds of the training images are those of the run.",
    SEEDS_RULE,
)


def compare_systems_over_seeds(request: Request) -> Finding:
    """Compare the systems of Table 2 over seeds."""
    counts = []
    for run in _runs(request):
        of_run = read_counts(run)
        counts.append({name: of_run[folder_of(run.settings, name)] for name in _SYSTEMS})
    orderings = [ordering(*pair) for pair in _PAIRS]
    return _finding(request, counts, orderings, reporting.TABLE_2, ("Systems", "method", "Over seeds"))


def compare_rankers_over_seeds(request: Request) -> Finding:
    """Compare the rankers of the ablation, and Eq. 17 without its background term, over seeds."""
    others = (Ordering(RERANK_ALONE, block_names((BLOCK,)), _FIRST), Ordering(IMPROVES, EQ_17, _NO_TERM))
    counts = list(map(_counts_of_picks, _runs(request)))
    return _finding(
        request, counts, (*ORDERINGS, *others), PAPER, ("Blocks of features", "features", "Ablation over seeds")
    )


def _counts_of_picks(run: Run) -> dict[str, Confusion]:
    """Return the confusions on val of the first proposals, Eq. 17's picks, and each ranker's picks."""
    train, val = described(run, "train"), described(run, "val")
    rows = {_FIRST: np.flatnonzero(val.table.proposals == 0), EQ_17: picks_of_eq17(run, val)}
    if "segnet" in val.table.blocks:
        rows[_NO_TERM] = pick(-eq17_by_features(val.table, 0.0), val.table.groups)
    rows |= {subset.name: subset.rows for subset in fit_subsets(run, train, val)}
    return {name: summed(val.confusions[of]) for name, of in rows.items()}


def _runs(request: Request) -> Iterator[Run]:
    """Yield the run, then a run of each other seed on the same proposals, brought up to date before it is yielded."""
    run = request.run
    for seed in request.seeds:
        if seed == run.settings.seed:
            yield run
        else:
            run.progress.say(f"seed {seed}")
            yield run_seed(run, run.folder(EVIDENCE) / _RUNS / f"seed-{seed}", seed, request.lock)


def _finding(
    request: Request,
    counts: list[dict[str, Confusion]],
    orderings: Iterable[Ordering],
    paper: Mapping[str, float],
    headings: tuple[str, str, str],
) -> Finding:
    """Return a finding with one row per method: the mean IoU and its spread over seeds, other means, and the paper's.

    Args:
        request: gives the run and the seeds.
        counts: for each seed, the methods' confusions on val.
        orderings: the paper's sentences.
        paper: the paper's values by method.
        headings: title of the table, heading of the methods, title of the figure.
    """
    title, methods, figure_title = headings
    of_means = mean_headings(request.run, next(iter(counts[0].values())))
    values = {name: np.array([means(request.run, of_seed[name]) for of_seed in counts]) for name in counts[0]}
    rows: list[tuple[Cell, ...]] = []
    for name, of in values.items():  # (seeds, means)
        first = of[:, 0]
        spread = float(first.std(ddof=1)) if len(first) > 1 else None
        cells = (float(first.mean()), spread, float(first.min()), float(first.max()))
        rows.append((name, *cells, *map(float, of[:, 1:].mean(axis=0)), *map(float, first), paper.get(name)))
    columns = (
        *(Column(methods), Column(of_means[0]), Column("spread", ".2f"), Column("smallest"), Column("largest")),
        *map(Column, of_means[1:]),
        *(Column(f"seed {seed}") for seed in request.seeds),
        Column("paper (val)"),
    )
    note = "Corpus IoU on val in per cent; the spread is the standard deviation of one seed. The single seeds are of "
    note += "the first mean."
    first_means = {name: of[:, 0] for name, of in values.items()}
    table = Table(f"{title}, seeds {', '.join(map(str, request.seeds))}", columns, tuple(rows), note)
    draw = partial(draw_beside_paper, ours=first_means, paper=paper, title=figure_title)
    return Finding(check_claims(orderings, first_means, over_seeds), table, draw, _NOTES)


def _lacks(run: Run) -> str:
    missing = [stage for stage in stages_read(run.settings) if not run.stamp(stage).complete]
    return f"the stages {', '.join(missing)}, not finished in this run" if missing else ""


_TITLES = (
    "Seeds: what the small differences are worth",
    "Section 5's ablation and Eq. 17's background term over seeds",
)
_NEEDS = ("data", "described", "evaluation")
PIECE = Piece(_RUNS, _TITLES[0], compare_systems_over_seeds, ("data", "evaluation"), _lacks, seeded=True)
PIECE_ABLATION = Piece("ablation-seeds", _TITLES[1], compare_rankers_over_seeds, _NEEDS, _lacks, seeded=True)
