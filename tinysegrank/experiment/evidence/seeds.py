"""The claims that rest on little, over several seeds of SegNet's training and of the ranker, on the same proposals."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.experiment import results
from tinysegrank.experiment.evidence.derived import read_from_base, run_seed
from tinysegrank.experiment.evidence.pieces import Asked, Claim, Finding, Piece
from tinysegrank.experiment.evidence.sources import mean_headings, means
from tinysegrank.experiment.evidence.table_2 import said
from tinysegrank.experiment.evidence.verdicts import SEEDS_RULE, gain_in_words, verdict_of_seeds
from tinysegrank.experiment.runner import Run
from tinysegrank.metrics import Confusion
from tinysegrank.reporting import TABLE_2, Cell, Column, Table

SEEDED = tuple(name for name in results.TABLE_2 if name not in ("1-best", "oracle"))  # these do not depend on a seed
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
    counts = [counts_of_seed(asked, seed) for seed in asked.seeds]
    places = {name: results.TABLE_2[name].format(loss=run.settings.ranking.loss) for name in SEEDED}
    headings = mean_headings(run, counts[0][places[SEEDED[0]]])
    values = {name: np.array([means(run, of_seed[place]) for of_seed in counts]) for name, place in places.items()}
    rows: list[tuple[Cell, ...]] = []
    for name, of in values.items():  # (seeds, headings)
        first = of[:, 0]
        spread = float(first.std(ddof=1)) if len(first) > 1 else None
        cells = (float(first.mean()), spread, float(first.min()), float(first.max()))
        rest = tuple(float(mean) for mean in of[:, 1:].mean(axis=0))
        rows.append((name, *cells, *rest, *map(float, first), TABLE_2[name]))
    columns = (
        Column("method"),
        Column(headings[0]),
        Column("spread", ".2f"),
        Column("smallest"),
        Column("largest"),
        *map(Column, headings[1:]),
        *(Column(f"seed {seed}") for seed in asked.seeds),
        Column("paper (val)"),
    )
    title = f"Seeds {', '.join(map(str, asked.seeds))}: mean and spread on the same proposals"
    note = (
        "Corpus IoU on val in per cent; the spread is the standard deviation of one seed. The single seeds are of the "
    )
    table = Table(title, columns, tuple(rows), note + "first mean.")
    claims = tuple(claim(values, better, worse) for better, worse in PAIRS)
    return Finding(claims, table, partial(draw, values=values), NOTES)


def counts_of_seed(asked: Asked, seed: int) -> dict[str, Confusion]:
    """The confusions of all systems of a seed; those of the run's own seed are there."""
    run: Run = asked.run
    if seed != run.settings.seed:
        run.progress.say(f"seed {seed}")
        run = run_seed(run, asked.folder / f"seed-{seed}", seed)
    return results.read_counts(run)


def claim(values: dict[str, np.ndarray], better: str, worse: str) -> Claim:
    """One ordering, seed by seed."""
    gaps = values[better][:, 0] - values[worse][:, 0]
    found = [f"{name} {values[name][:, 0].mean():.1f}" for name in (better, worse)]
    here = f"{found[0]}, {found[1]}: {gain_in_words(gaps)}."
    return Claim(said(better, worse), here, verdict_of_seeds(gaps))


def draw(path: Path, *, values: dict[str, np.ndarray]) -> None:
    """Bars of the means with the smallest and largest seed."""
    ours = [float(of[:, 0].mean()) for of in values.values()]
    spans: list[tuple[float, float] | None] = [(float(of[:, 0].min()), float(of[:, 0].max())) for of in values.values()]
    series = {"this run": ours, "the paper": [TABLE_2[name] for name in values]}
    reporting.bars(
        path, list(values), series, label="mean IoU on val, per cent", title="Over seeds", ranges={"this run": spans}
    )


NOTES = (
    "The seed draws the random head, the order of the images, the dropout, and the folds by which the ranker's C is "
    "chosen. Proposals, their other features and the folds of the training images are those of the run.",
    SEEDS_RULE,
)


def lacks(run: Run) -> str:
    """Which stages are read anew by other seeds and are not there, as in a run of an earlier version."""
    missing = [stage for stage in read_from_base(run.settings) if not run.stamp(stage).get("complete")]
    return f"the stages {', '.join(missing)}, not finished in this run" if missing else ""


PIECE = Piece("seeds", "Seeds: what the small differences are worth", find, ("data", "evaluation"), lacks, seeded=True)
