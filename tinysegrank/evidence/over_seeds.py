"""Methods over several seeds of SegNet's training and of the ranker, on the same proposals: runs, table, claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.derived import read_from_base, run_seed
from tinysegrank.evidence.judge import FOLDER
from tinysegrank.evidence.pieces import Asked, Claim
from tinysegrank.evidence.verdicts import (
    SEEDS_RULE,
    gain_in_words,
    verdict_of_same_seeds,
    verdict_of_seeds,
)
from tinysegrank.experiment.runner import Run
from tinysegrank.reporting import Cell, Column, Table

TRAININGS = "seeds"  # the piece in whose folder the trainings of all pieces over seeds lie
NOTES = (
    "The seed draws the random head, the order of the images, the dropout, and the folds by which the ranker's C is "
    "chosen. Proposals, their other features and the folds of the training images are those of the run.",
    SEEDS_RULE,
)


def runs_of_seeds(asked: Asked) -> Iterator[Run]:
    """The run, and runs of the other seeds with its proposals, each brought up to date when its turn comes."""
    run = asked.run
    for seed in asked.seeds:
        if seed == run.settings.seed:
            yield run
        else:
            run.progress.say(f"seed {seed}")
            yield run_seed(run, run.folder(FOLDER) / TRAININGS / f"seed-{seed}", seed)


def lacks(run: Run) -> str:
    """Which stages are read anew by other seeds and are not there, as in a run of an earlier version."""
    missing = [stage for stage in read_from_base(run.settings) if not run.stamp(stage).complete]
    return f"the stages {', '.join(missing)}, not finished in this run" if missing else ""


def seeds_table(
    title: str,
    methods: str,
    headings: tuple[str, ...],
    values: Mapping[str, np.ndarray],
    seeds: tuple[int, ...],
    paper: Mapping[str, float | None],
) -> Table:
    """A row a method, with the mean and spread of the first heading's measure, and the means of the others'.

    values | each (seeds, headings) | float64 | per cent
    """
    rows: list[tuple[Cell, ...]] = []
    for name, of in values.items():
        first = of[:, 0]
        spread = float(first.std(ddof=1)) if len(first) > 1 else None
        cells = (float(first.mean()), spread, float(first.min()), float(first.max()))
        rest = tuple(float(mean) for mean in of[:, 1:].mean(axis=0))
        rows.append((name, *cells, *rest, *map(float, first), paper.get(name)))
    columns = (
        Column(methods),
        Column(headings[0]),
        Column("spread", ".2f"),
        Column("smallest"),
        Column("largest"),
        *map(Column, headings[1:]),
        *(Column(f"seed {seed}") for seed in seeds),
        Column("paper (val)"),
    )
    note = (
        "Corpus IoU on val in per cent; the spread is the standard deviation of one seed. The single seeds are of the "
        "first mean."
    )
    return Table(f"{title}, seeds {', '.join(map(str, seeds))}", columns, tuple(rows), note)


def seeds_claim(paper: str, better: str, worse: str, values: Mapping[str, np.ndarray], *, same: bool = False) -> Claim:
    """A claim that one method is better than another, or about the `same`, seed by seed."""
    gaps = values[better][:, 0] - values[worse][:, 0]
    found = [f"{name} {values[name][:, 0].mean():.1f}" for name in (better, worse)]
    here = f"{found[0]}, {found[1]}: {gain_in_words(gaps)}."
    return Claim(paper, here, verdict_of_same_seeds(gaps) if same else verdict_of_seeds(gaps))


def draw_over_seeds(
    path: Path, *, values: Mapping[str, np.ndarray], paper: Mapping[str, float | None], title: str
) -> None:
    """Bars of the means with the smallest and largest seed, and the paper's beside them."""
    ours = [float(of[:, 0].mean()) for of in values.values()]
    spans: list[tuple[float, float] | None] = [(float(of[:, 0].min()), float(of[:, 0].max())) for of in values.values()]
    series: dict[str, list[float | None]] = {"this run": [*ours], "the paper": [paper.get(name) for name in values]}
    reporting.bars(
        path, list(values), series, label="mean IoU on val, per cent", title=title, ranges={"this run": spans}
    )
