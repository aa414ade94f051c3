"""IOU against UOI from a random head: the paper saw IOU end in an all-background prediction."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence import claims, trainings
from tinysegrank.evidence.claims import Statement
from tinysegrank.evidence.judge import make_judge
from tinysegrank.evidence.measures import background_pixels, per_cents
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.training import START, Training
from tinysegrank.reporting import Curve, Plot
from tinysegrank.segnet import TrainingOptions

NAMES = {"iou": "IOU", "uoi": "UOI", "ce": "CE"}
STATEMENTS = (
    Statement("with random initialisation, the IOU objective always led to an all-background prediction (section 3.2).",
              "per cent of val labelled background at the end (or before it diverged), by seed: {shares}. {outcome}",
              claims.verdict_of_fact, ("collapsed",)),
    Statement("UOI minimisation leads to a much better solution than IOU maximisation (section 3.2).",
              "corpus IoU of naive upsampling at the end: {means}; UOI over IOU {gain}.",
              claims.verdict_of_seeds, ("gaps",)),
)  # fmt: skip
_OUTCOMES = {True: "IOU predicts next to nothing else.", False: "IOU does not collapse in all trainings here."}
_COLLAPSED = 99.0  # per cent of the pixels labelled background, from which on next to nothing else is predicted


def train_from_scratch(request: Request) -> Finding:
    """Train the head with each loss from the same random start, and follow what it predicts on val."""
    run, judge = request.run, make_judge(request.run, proposals=False)
    options = {loss: _options(run, loss) for loss in NAMES}
    trained = trainings.train_by_loss(request, options, _seeds_of_start, judge)
    share = trained.values(lambda history: _background(history.naive))
    iou = trained.values(lambda history: per_cents(run, history.naive))
    _, true, pixels = background_pixels(trained.histories["ce", request.seeds[0]].naive[0])
    truth, steps = float(100 * true / pixels), trainings.judged_steps(options["ce"])
    columns = {
        f"{name}: {what}": (steps, values[loss].mean(axis=0))
        for loss, name in NAMES.items()
        for what, values in (("background", share), ("IoU", iou))
    }
    note = f"Per cent of the pixels of val that naive upsampling labels background (in the truth {truth:.1f}), and its "
    note += f"corpus IoU. {trainings.seeds_note(request.seeds)}"
    table = trainings.steps_table("From a random head: background and IoU", columns, note)
    draw = partial(_draw, steps=steps, share=share, iou=iou, truth=truth)
    notes = (*_notes(run), *trained.diverged(NAMES))
    return Finding(claims.check_claims(STATEMENTS, _measured(share, iou)), table, draw, notes)


def _seeds_of_start(seed: int, loss: str) -> list[int]:  # noqa: ARG001  # all losses from the same head
    return Training(-1, START).seeds(seed)


def _options(run: Run, loss: str) -> TrainingOptions:
    """Return the loss's own options, for as many steps as the run's cross-entropy start."""
    start = run.settings.training.start
    return start if loss == "ce" else replace(run.settings.training.continued(loss), steps=start.steps)


def _background(matrices: np.ndarray) -> np.ndarray:
    """Return the percentage of pixels labelled background | (E, K, K) to (E,)."""
    labelled, _, pixels = background_pixels(matrices)
    return np.asarray(100 * labelled / pixels)


def _measured(share: dict[str, np.ndarray], iou: dict[str, np.ndarray]) -> dict[str, object]:
    ends = {loss: [of[np.isfinite(of)][-1] for of in share[loss]] for loss in NAMES}
    collapsed = all(end >= _COLLAPSED for end in ends["iou"])
    gaps = iou["uoi"][:, -1] - iou["iou"][:, -1]
    return {
        "shares": "; ".join(f"{NAMES[loss]} {', '.join(f'{end:.1f}' for end in of)}" for loss, of in ends.items()),
        "collapsed": collapsed,
        "outcome": _OUTCOMES[collapsed],
        "means": ", ".join(f"{name} {claims.mean_in_words(iou[loss][:, -1])}" for loss, name in NAMES.items()),
        "gain": claims.gain_in_words(gaps),
        "gaps": gaps,
    }


def _draw(
    path: Path, *, steps: np.ndarray, share: dict[str, np.ndarray], iou: dict[str, np.ndarray], truth: float
) -> None:
    """Draw the share of background and the IoU over the steps."""
    shares, ious = ({NAMES[loss]: trainings.curve(steps, of) for loss, of in values.items()} for values in (share, iou))
    shares["in the truth"] = Curve(steps, np.full(len(steps), truth))
    plots = (
        Plot(shares, "steps from a random head", "per cent", "pixels of val labelled background"),
        Plot(ious, "steps from a random head", "per cent", "corpus IoU of naive upsampling"),
    )
    reporting.plots(path, plots)


def _notes(run: Run) -> tuple[str, ...]:
    """Describe how the trainings were done."""
    ways = [f"{name} at rate {_options(run, loss).rate:g}" for loss, name in NAMES.items()]
    mass = run.settings.training.iou.min_mass
    return (
        f"The trunk is pre-trained and fixed, only the head is random; {'; '.join(ways)}. Classes with less than "
        f"{mass:g} cells of target mass in the batch are left out of IOU and UOI, which the paper does not say.",
        claims.SEEDS_RULE,
    )


PIECE = Piece(
    "from-scratch",
    "Section 3.2: IOU and UOI from a random head",
    train_from_scratch,
    ("data", "features"),
    seeded=True,
    settings=lambda s: [s.training.start, s.training.iou, s.training.uoi, s.coarse],
)
