"""Figure 6: re-ranking accuracy while SegNet continues from one start with cross-entropy, UOI, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.claims import (
    SEEDS_RULE,
    Ordering,
    Statement,
    check_claims,
    mean_in_words,
    not_compared,
    over_seeds,
)
from tinysegrank.evidence.judge import Judge, make_judge
from tinysegrank.evidence.measures import per_cents
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.evidence.trainings import (
    Head,
    curve,
    judged_steps,
    seeds_note,
    train_by_loss,
    train_heads,
    training_folder,
    training_seeds,
)
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.training import START, Training, network_path
from tinysegrank.experiment.stages.trunk import NETWORK
from tinysegrank.reporting import Cell, Column, Plot, Table

NAMES = {"ce": "CE", "uoi": "UOI", "uoi+ce": "0.7 UOI + 0.3 CE"}
STATEMENTS = (
    Ordering("optimising UOI clearly outperforms cross-entropy (48.5 against 47.4).", "UOI", "CE"),
    Ordering("0.7 UOI + 0.3 CE improves further by a bit (48.7 against 48.5).", NAMES["uoi+ce"], "UOI"),
    Statement(
        "all three go on from the same net, trained for 4,000 iterations with cross-entropy.",
        "the start, {steps:,} steps, is at {start:.1f}; from there to the end: {gains} points.",
        not_compared,
    ),
)


def continue_training(request: Request) -> Finding:
    """Continue one cross-entropy start with each loss and seed, and judge the picks of Eq. 17 on the way."""
    run, judge = request.run, make_judge(request.run, proposals=True)
    options = {loss: run.settings.training.continued(loss) for loss in NAMES}
    begin = network_of_start(request, judge)
    trainings = train_by_loss(request, options, training_seeds, judge, begin=begin, picks=True)
    picks = trainings.values(lambda history: per_cents(run, history.picks))
    naive = trainings.values(lambda history: per_cents(run, history.naive))
    steps = {loss: judged_steps(of_loss) for loss, of_loss in options.items()}
    start = picks["ce"][0, 0]
    gains = {name: mean_in_words(picks[loss][:, -1] - picks[loss][0, 0], "+.1f") for loss, name in NAMES.items()}
    measured: dict[str, Any] = {name: picks[loss][:, -1] for loss, name in NAMES.items()}
    measured |= {"steps": start_steps(run), "start": start, "gains": ", ".join(map(" ".join, gains.items()))}
    draw = partial(_draw, steps=steps, picks=picks, naive=naive)
    claims = check_claims(STATEMENTS, measured, _at_the_end)
    return Finding(claims, _table(request, steps, picks), draw, (*notes(run), *trainings.diverged(NAMES)))


def _at_the_end(ordering: Ordering, values: Mapping[str, Any]) -> tuple[str, str]:
    here, verdict = over_seeds(ordering, values)
    return f"at the end {here}", verdict


def network_of_start(request: Request, judge: Judge) -> Path:
    """Return the network to continue from: the run's own start, or a longer one trained here."""
    run, steps = request.run, request.run.settings.evidence.start_steps
    if not steps:
        return network_path(run, Training(-1, START))
    options = replace(run.settings.training.start, steps=steps)
    seeds = training_seeds(run.settings.seed, START)
    head = Head(run, training_folder(request, START), options, seeds, judge, picks=True)
    train_heads(run, [head])
    return head.folder / NETWORK


def _table(request: Request, steps: dict[str, np.ndarray], picks: dict[str, np.ndarray]) -> Table:
    """Return one row per judged number of steps: the mean over the seeds, and the smallest and largest of several."""
    several = len(request.seeds) > 1
    rows: list[tuple[Cell, ...]] = []
    for step in np.unique(np.concatenate(list(steps.values()))):
        cells: list[Cell] = [int(step)]
        for loss in NAMES:
            place = np.flatnonzero(steps[loss] == step)
            values = picks[loss][:, place[0]] if len(place) else np.full(1, np.nan)
            cells += [float(values.mean()), *([float(values.min()), float(values.max())] if several else [])]
        rows.append(tuple(cells))
    kinds = ("", ", smallest", ", largest") if several else ("",)
    columns = [Column(f"{name}{kind}") for name in NAMES.values() for kind in kinds]
    title = "Figure 6: corpus IoU of what Eq. 17 picks on val, by training steps after the start"
    return Table(title, (Column("steps", "d"), *columns), tuple(rows), seeds_note(request.seeds))


def _draw(
    path: Path, *, steps: dict[str, np.ndarray], picks: dict[str, np.ndarray], naive: dict[str, np.ndarray]
) -> None:
    """Draw Eq. 17 as in the paper, and naive upsampling beside it."""
    side_by_side = []
    for title, values in (("what Eq. 17 picks", picks), ("naive upsampling", naive)):
        lines = {NAMES[loss]: curve(steps[loss], of) for loss, of in values.items()}
        side_by_side.append(Plot(lines, "steps after the start", "corpus IoU on val, per cent", title))
    reporting.plots(path, side_by_side)


def start_steps(run: Run) -> int:
    """Return the steps of the start."""
    return run.settings.evidence.start_steps or run.settings.training.start.steps


def notes(run: Run) -> tuple[str, ...]:
    """Say how the trainings were done."""
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
    continue_training,
    ("data", "features", "training", "proposals", "described"),
    seeded=True,
    settings=lambda s: s.evidence,
)
