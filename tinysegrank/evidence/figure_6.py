"""Figure 6: re-ranking accuracy while SegNet continues from one start with cross-entropy, UOI, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence import claims, trainings
from tinysegrank.evidence.claims import Ordering, Statement
from tinysegrank.evidence.judge import Judge, make_judge
from tinysegrank.evidence.measures import per_cents
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.training import START, Training, network_path
from tinysegrank.experiment.stages.trunk import NETWORK
from tinysegrank.reporting import Plot

NAMES = {"ce": "CE", "uoi": "UOI", "uoi+ce": "0.7 UOI + 0.3 CE"}
STATEMENTS = (
    Ordering("optimising UOI clearly outperforms cross-entropy (48.5 against 47.4).", "UOI", "CE"),
    Ordering("0.7 UOI + 0.3 CE improves further by a bit (48.7 against 48.5).", NAMES["uoi+ce"], "UOI"),
    Statement("all three continue from the same net, trained for 4,000 iterations with cross-entropy.",
              "the start, {steps:,} steps, is at {start:.1f}; from there to the end: {gains} points.",
              claims.not_compared),
)  # fmt: skip


def continue_training(request: Request) -> Finding:
    """Continue training from one cross-entropy start with each loss and seed, evaluating Eq. 17's picks as it goes."""
    run, judge = request.run, make_judge(request.run, proposals=True)
    options = {loss: run.settings.training.continued(loss) for loss in NAMES}
    begin = network_of_start(request, judge)
    trained = trainings.train_by_loss(request, options, _seeds_of, judge, begin=begin, picks=True)
    picks = trained.values(lambda history: per_cents(run, history.picks))
    naive = trained.values(lambda history: per_cents(run, history.naive))
    steps = {loss: trainings.judged_steps(of_loss) for loss, of_loss in options.items()}
    spread: dict[str, Callable[..., np.ndarray]] = {", smallest": np.min, ", largest": np.max}
    kinds: dict[str, Callable[..., np.ndarray]] = {"": np.mean, **(spread if len(request.seeds) > 1 else {})}
    columns = {
        f"{name}{kind}": (steps[loss], function(picks[loss], axis=0))
        for loss, name in NAMES.items()
        for kind, function in kinds.items()
    }
    title = "Figure 6: corpus IoU of what Eq. 17 picks on val, by training steps after the start"
    table = trainings.steps_table(title, columns, trainings.seeds_note(request.seeds))
    measured: dict[str, Any] = {name: picks[loss][:, -1] for loss, name in NAMES.items()}
    gains = [
        f"{name} {claims.mean_in_words(measured[name] - picks[loss][0, 0], '+.1f')}" for loss, name in NAMES.items()
    ]
    measured |= {"steps": start_steps(run), "start": picks["ce"][0, 0], "gains": ", ".join(gains)}
    found = claims.check_claims(STATEMENTS, measured, _at_the_end)
    draw = partial(_draw, steps=steps, sides={"what Eq. 17 picks": picks, "naive upsampling": naive})
    return Finding(found, table, draw, (*notes(run), *trained.diverged(NAMES)))


def _seeds_of(seed: int, loss: str) -> list[int]:
    return Training(-1, loss).seeds(seed)


def _at_the_end(ordering: Ordering, values: Mapping[str, Any]) -> tuple[str, str]:
    here, verdict = claims.over_seeds(ordering, values)
    return f"at the end {here}", verdict


def network_of_start(request: Request, judge: Judge) -> Path:
    """Return the network to continue from: the run's own start, or a longer one trained here."""
    run, steps = request.run, request.run.settings.evidence.start_steps
    if not steps:
        return network_path(run, Training(-1, START))
    options, folder = replace(run.settings.training.start, steps=steps), trainings.training_folder(request, START)
    head = trainings.Head(run, folder, options, _seeds_of(run.settings.seed, START), judge, picks=True)
    trainings.train_heads(run, [head])
    return head.folder / NETWORK


def _draw(path: Path, *, steps: dict[str, np.ndarray], sides: dict[str, dict[str, np.ndarray]]) -> None:
    plots = []
    for title, values in sides.items():
        lines = {NAMES[loss]: trainings.curve(steps[loss], of) for loss, of in values.items()}
        plots.append(Plot(lines, "steps after the start", "corpus IoU on val, per cent", title))
    reporting.plots(path, plots)


def start_steps(run: Run) -> int:
    """Return the number of cross-entropy steps before the losses differ."""
    return run.settings.evidence.start_steps or run.settings.training.start.steps


def notes(run: Run) -> tuple[str, ...]:
    """Describe how the trainings were done."""
    schedule, ways = run.settings.training, []
    for loss, name in NAMES.items():
        options = schedule.continued(loss)
        ways.append(f"{name} {options.steps} steps at rate {options.rate:g}")
    return (
        f"From one start of {start_steps(run):,} steps: {'; '.join(ways)}; batches of {schedule.start.batch}.",
        "The paper gives neither rates nor batch.",
        claims.SEEDS_RULE,
    )


PIECE = Piece(
    "figure-6",
    "Figure 6: re-ranking accuracy while training continues with each loss",
    continue_training,
    ("data", "features", "training", "proposals", "described"),
    seeded=True,
    settings=lambda s: s.evidence,
)
