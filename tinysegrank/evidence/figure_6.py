"""Figure 6: re-ranking accuracy while SegNet goes on from one start with cross-entropy, UOI, or both."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.heads import (
    Judged,
    continued_seeds,
    curve,
    diverged,
    judged_steps,
    make_head,
    padded,
    train_heads,
    train_seeds,
)
from tinysegrank.evidence.judge import Judge, make_judge
from tinysegrank.evidence.pieces import APART, Asked, Claim, Finding, Piece
from tinysegrank.evidence.sources import per_cents
from tinysegrank.evidence.verdicts import (
    SEEDS_RULE,
    gain_in_words,
    mean_in_words,
    seeds_note,
    verdict_of_seeds,
)
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.training import START, Training
from tinysegrank.experiment.stages.trunk import NETWORK
from tinysegrank.reporting import Cell, Column, Plot, Table

NAMES = {"ce": "CE", "uoi": "UOI", "uoi+ce": "0.7 UOI + 0.3 CE"}


def find(asked: Asked) -> Finding:
    """Continue one cross-entropy start with each loss and seed, and judge the picks of Eq. 17 on the way."""
    run = asked.run
    judge = make_judge(run, proposals=True)
    begin = start_of(asked, judge)
    options = {loss: run.settings.training.continued(loss) for loss in NAMES}
    judged = train_seeds(asked, options, continued_seeds, begin=begin, judge=judge, picks=True)
    picks = {loss: accuracies(run, judged, loss, "picks", asked.seeds) for loss in NAMES}
    naive = {loss: accuracies(run, judged, loss, "naive", asked.seeds) for loss in NAMES}
    steps = {loss: judged_steps(of_loss) for loss, of_loss in options.items()}
    table = steps_table(steps, picks, asked.seeds)
    claims = (
        gain(picks, "uoi", "ce", "optimising UOI clearly outperforms cross-entropy (48.5 against 47.4)."),
        gain(picks, "uoi+ce", "uoi", "0.7 UOI + 0.3 CE improves further by a bit (48.7 against 48.5)."),
        start_claim(run, picks),
    )
    draw = partial(draw_curves, steps=steps, picks=picks, naive=naive)
    return Finding(claims, table, draw, (*notes(run), *diverged(judged, NAMES)))


def start_of(asked: Asked, judge: Judge) -> Path:
    """The network to go on from: the run's own start, or a longer one that is trained here if it is not there yet."""
    run, steps = asked.run, asked.run.settings.evidence.start_steps
    if not steps:
        return run.folder("training") / Training(-1, START).name / NETWORK
    options = replace(run.settings.training.start, steps=steps)
    folder, seeds = asked.folder / "trainings" / START, continued_seeds(run.settings.seed, START)
    head = make_head(run, folder, options, seeds, begin=None, judge=judge, picks=True)
    train_heads(run, [head])
    return folder / NETWORK


def accuracies(
    run: Run, judged: dict[tuple[str, int], Judged], loss: str, what: str, seeds: tuple[int, ...]
) -> np.ndarray:
    """Mean corpus IoU in per cent of each seed after each judged number of steps, (seeds, E) float64."""
    matrices = [getattr(judged[loss, seed], what) for seed in seeds]
    return padded([per_cents(run, of_seed) for of_seed in matrices], run.settings.training.continued(loss))


def steps_table(steps: dict[str, np.ndarray], picks: dict[str, np.ndarray], seeds: tuple[int, ...]) -> Table:
    """A row for each judged number of steps, the mean over the seeds, with the smallest and largest where there are."""
    rows: list[tuple[Cell, ...]] = []
    for step in np.unique(np.concatenate(list(steps.values()))):
        cells: list[Cell] = [int(step)]
        for loss in NAMES:
            place = np.flatnonzero(steps[loss] == step)
            values = picks[loss][:, place[0]] if len(place) else np.full(1, np.nan)
            cells += [float(values.mean()), *([float(values.min()), float(values.max())] if len(seeds) > 1 else [])]
        rows.append(tuple(cells))
    spread = ("smallest", "largest") if len(seeds) > 1 else ()
    columns = [Column(f"{name}{', ' if kind else ''}{kind}") for name in NAMES.values() for kind in ("", *spread)]
    title = "Figure 6: corpus IoU of what Eq. 17 picks on val, by training steps after the start"
    return Table(title, (Column("steps", "d"), *columns), tuple(rows), seeds_note(seeds))


def gain(picks: dict[str, np.ndarray], better: str, worse: str, paper: str) -> Claim:
    """One loss against another at the end, seed by seed."""
    gaps = picks[better][:, -1] - picks[worse][:, -1]
    ends = [f"{NAMES[loss]} {mean_in_words(picks[loss][:, -1])}" for loss in (better, worse)]
    here = f"at the end {ends[0]}, {ends[1]}: {gain_in_words(gaps)}."
    return Claim(paper, here, verdict_of_seeds(gaps))


def start_claim(run: Run, picks: dict[str, np.ndarray]) -> Claim:
    """What going on brings at all."""
    gains = {NAMES[loss]: values[:, -1] - values[0, 0] for loss, values in picks.items()}
    ends = ", ".join(f"{name} {mean_in_words(gain, '+.1f')}" for name, gain in gains.items())
    return Claim(
        "all three go on from the same net, trained for 4,000 iterations with cross-entropy.",
        f"the start, {start_steps(run):,} steps, is at {picks['ce'][0, 0]:.1f}; from there to the end: {ends} points.",
        APART,
    )


def draw_curves(
    path: Path,
    *,
    steps: dict[str, np.ndarray],
    picks: dict[str, np.ndarray],
    naive: dict[str, np.ndarray],
) -> None:
    """Eq. 17 as in the paper, and naive upsampling beside it."""
    side_by_side = []
    for title, values in (("what Eq. 17 picks", picks), ("naive upsampling", naive)):
        lines = {NAMES[loss]: curve(steps[loss], of) for loss, of in values.items()}
        side_by_side.append(Plot(lines, "steps after the start", "corpus IoU on val, per cent", title))
    reporting.plots(path, side_by_side)


def start_steps(run: Run) -> int:
    """Steps of the start."""
    return run.settings.evidence.start_steps or run.settings.training.start.steps


def notes(run: Run) -> tuple[str, ...]:
    """How the trainings were done."""
    schedule, ways = run.settings.training, []
    for loss, name in NAMES.items():
        options = schedule.continued(loss)
        ways.append(f"{name} {options.steps} steps at rate {options.rate:g}")
    return (
        f"From one start of {start_steps(run):,} steps: {'; '.join(ways)}; batches of {schedule.start.batch}.",
        "The paper gives neither rates nor batch.",
        SEEDS_RULE,
    )


PIECE = Piece(
    "figure-6",
    "Figure 6: re-ranking accuracy while training goes on with each loss",
    find,
    ("data", "features", "training", "proposals", "described"),
    seeded=True,
    settings=lambda s: s.evidence,
)
