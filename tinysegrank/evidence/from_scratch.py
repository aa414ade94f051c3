"""IOU against UOI from a random head: the paper saw IOU end in an all-background prediction."""

from __future__ import annotations

from collections.abc import Callable
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
    padded,
    train_seeds,
)
from tinysegrank.evidence.judge import make_judge
from tinysegrank.evidence.pieces import AGREES, DIFFERS, Asked, Claim, Finding, Piece
from tinysegrank.evidence.sources import per_cents
from tinysegrank.evidence.verdicts import (
    SEEDS_RULE,
    gain_in_words,
    mean_in_words,
    seeds_note,
    verdict_of_seeds,
)
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.training import START
from tinysegrank.reporting import Cell, Column, Curve, Plot, Table
from tinysegrank.segnet import TrainingOptions
from tinysegrank.voc import BACKGROUND

NAMES = {"iou": "IOU", "uoi": "UOI", "ce": "CE"}
COLLAPSED = 99.0  # per cent of the pixels labelled background, from which on we say that nothing else is predicted


def find(asked: Asked) -> Finding:
    """Train the head with each loss from the same random start, and follow what it predicts on val."""
    run, judge = asked.run, make_judge(asked.run, proposals=False)
    ways = {loss: options(run, loss) for loss in NAMES}

    def from_start(seed: int, loss: str) -> tuple[int, ...]:  # noqa: ARG001  # all losses from the same head
        return continued_seeds(seed, START)

    judged = train_seeds(asked, ways, from_start, begin=None, judge=judge, picks=False)

    def by_step(value: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:  # each (seeds, E)
        naive = {loss: [judged[loss, seed].naive for seed in asked.seeds] for loss in NAMES}
        return {loss: padded([value(of) for of in naive[loss]], ways[loss]) for loss in NAMES}

    steps, share, iou = judged_steps(ways["ce"]), by_step(background), by_step(partial(per_cents, run))
    truth = truth_share(judged["ce", asked.seeds[0]].naive[0])
    rows = table_rows(steps, share, iou)
    kinds = [Column(f"{name}: {what}") for name in NAMES.values() for what in ("background", "IoU")]
    note = f"Per cent of the pixels of val that naive upsampling labels background (in the truth {truth:.1f}), and its "
    note += f"corpus IoU. {seeds_note(asked.seeds)}"
    table = Table("From a random head: background and IoU", (Column("steps", "d"), *kinds), rows, note)
    draw = partial(draw_curves, steps=steps, share=share, iou=iou, truth=truth)
    return Finding((collapse(share), better(iou)), table, draw, notes(run, judged))


def options(run: Run, loss: str) -> TrainingOptions:
    """The loss's own options, for as many steps as the run's cross-entropy start."""
    start = run.settings.training.start
    return start if loss == "ce" else replace(run.settings.training.continued(loss), steps=start.steps)


def background(matrices: np.ndarray) -> np.ndarray:
    """Per cent of the pixels that are labelled background | (E, K, K) to (E,)."""
    return np.asarray(100 * matrices[:, :, BACKGROUND].sum(axis=1) / matrices.sum(axis=(1, 2)))


def truth_share(matrix: np.ndarray) -> float:
    """Per cent of the pixels that are background in truth."""
    return float(100 * matrix[BACKGROUND].sum() / matrix.sum())


def table_rows(
    steps: np.ndarray, share: dict[str, np.ndarray], iou: dict[str, np.ndarray]
) -> tuple[tuple[Cell, ...], ...]:
    """A row for each judged number of steps; empty where a training of the loss had diverged."""
    rows = []
    for place, step in enumerate(steps):
        cells = [float(of[loss][:, place].mean()) for loss in NAMES for of in (share, iou)]
        rows.append((int(step), *cells))
    return tuple(rows)


def collapse(share: dict[str, np.ndarray]) -> Claim:
    """Whether IOU ends in background alone."""
    ends = {name: np.array([of[np.isfinite(of)][-1] for of in share[loss]]) for loss, name in NAMES.items()}
    said = "; ".join(f"{name} {', '.join(f'{end:.1f}' for end in of)}" for name, of in ends.items())
    collapsed = bool((ends["IOU"] >= COLLAPSED).all())
    return Claim(
        "with random initialisation, the IOU objective always led to an all-background prediction (section 3.2).",
        f"per cent of val labelled background at the end (or before it diverged), by seed: {said}. "
        + ("IOU predicts next to nothing else." if collapsed else "IOU does not collapse in all trainings here."),
        AGREES if collapsed else DIFFERS,
    )


def better(iou: dict[str, np.ndarray]) -> Claim:
    """Whether UOI ends better than IOU."""
    gaps = iou["uoi"][:, -1] - iou["iou"][:, -1]
    ends = ", ".join(f"{name} {mean_in_words(iou[loss][:, -1])}" for loss, name in NAMES.items())
    return Claim(
        "UOI minimisation leads to a much better solution than IOU maximisation (section 3.2).",
        f"corpus IoU of naive upsampling at the end: {ends}; UOI over IOU {gain_in_words(gaps)}.",
        verdict_of_seeds(gaps),
    )


def draw_curves(
    path: Path,
    *,
    steps: np.ndarray,
    share: dict[str, np.ndarray],
    iou: dict[str, np.ndarray],
    truth: float,
) -> None:
    """The share of background and the IoU, over the steps."""

    def lines(values: dict[str, np.ndarray]) -> dict[str, Curve]:
        return {NAMES[loss]: curve(steps, of) for loss, of in values.items()}

    level = {"in the truth": Curve(steps, np.full(len(steps), truth))}
    plots = (
        Plot(lines(share) | level, "steps from a random head", "per cent", "pixels of val labelled background"),
        Plot(lines(iou), "steps from a random head", "per cent", "corpus IoU of naive upsampling"),
    )
    reporting.plots(path, plots)


def notes(run: Run, judged: dict[tuple[str, int], Judged]) -> tuple[str, ...]:
    """How the trainings were done, and which of them diverged."""
    ways = [f"{name} at rate {options(run, loss).rate:g}" for loss, name in NAMES.items()]
    mass = run.settings.training.iou.min_mass
    return (
        f"The trunk is pre-trained and fixed, only the head is random; {'; '.join(ways)}. Classes with less than "
        f"{mass:g} cells of target mass in the batch are left out of IOU and UOI, which the paper does not say.",
        SEEDS_RULE,
        *diverged(judged, NAMES),
    )


PIECE = Piece(
    "from-scratch",
    "Section 3.2: IOU and UOI from a random head",
    find,
    ("data", "features"),
    seeded=True,
    settings=lambda s: [s.training.start, s.training.iou, s.training.uoi, s.coarse],
)
