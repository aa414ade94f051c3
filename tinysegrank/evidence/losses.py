"""Section 3.2 and Figure 6: losses compared in the course of training, from a random head and from a common start."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence import claims
from tinysegrank.evidence.claims import Ordering, Statement
from tinysegrank.evidence.measures import make_judge, per_cent
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.evidence.trainings import LOSS_NAMES, train_by_loss
from tinysegrank.experiment.stages import data, described, features, proposals, training
from tinysegrank.reporting import Curve, Plot
from tinysegrank.voc import BACKGROUND

_AT_THE_END = partial(Ordering, opening="at the end ")
_FROM_SCRATCH = (
    Statement("with random initialisation, the IOU objective always led to an all-background prediction (section 3.2).",
              "per cent of val labelled background at the end (or before it diverged), by seed: {shares}. {outcome}",
              claims.verdict_of_fact, ("collapsed",)),
    Statement("UOI minimisation leads to a much better solution than IOU maximisation (section 3.2).",
              "corpus IoU of naive upsampling at the end: {means}; UOI over IOU {gain}.",
              claims.verdict_of_seeds, ("gaps",)),
)  # fmt: skip
_OUTCOMES = {True: "IOU predicts next to nothing else.", False: "IOU does not collapse in all trainings here."}
_TABLE_NOTE = (
    "Per cent of the pixels of val that naive upsampling labels background (in the truth {truth:.1f}), and its corpus "
    "IoU. "
)
_RANDOM_NOTE = (
    "The trunk is pre-trained and fixed, only the head is random; {ways}. Classes with less than {mass:g} cells of "
    "target mass in the batch are left out of IOU and UOI, which the paper does not say."
)
_COLLAPSED = 99.0  # per cent of the pixels labelled background, from which on next to nothing else is predicted
_CONTINUED = (
    _AT_THE_END("optimising UOI clearly outperforms cross-entropy (48.5 against 47.4).", "UOI", "CE"),
    _AT_THE_END("0.7 UOI + 0.3 CE improves further by a bit (48.7 against 48.5).", LOSS_NAMES["uoi+ce"], "UOI"),
    Statement("all three continue from the same net, trained for 4,000 iterations with cross-entropy.",
              "the start, {steps:,} steps, is at {start:.1f}; from there to the end: {gains} points."),
)  # fmt: skip


def train_from_scratch(request: Request) -> Finding:
    """Train with IOU, UOI and CE from one random head per seed.

    In the course of training, naive upsampling of val is measured: its share of background and its corpus IoU.
    """
    run, schedule = request.run, request.run.settings.training
    options = {loss: replace(schedule.of(loss), steps=schedule.start.steps) for loss in ("iou", "uoi")}
    options["ce"] = schedule.start
    trained = train_by_loss(request, options, continued=False)
    iou = trained.values("naive", partial(per_cent, run))
    share = trained.values("naive", lambda confusion: 100 * confusion[:, BACKGROUND].sum() / confusion.sum())
    cells = make_judge(run, picks=False).cell_counts()
    truth = float(100 * cells[..., BACKGROUND].sum() / cells.sum())
    columns = {": background": (share, np.mean), ": IoU": (iou, np.mean)}
    table = trained.table("From a random head: background and IoU", columns, _TABLE_NOTE.format(truth=truth))
    ends = {name: [of[np.isfinite(of)][-1] for of in of_loss] for name, of_loss in share.items()}
    collapsed = all(end >= _COLLAPSED for end in ends["IOU"])
    gaps = iou["UOI"][:, -1] - iou["IOU"][:, -1]
    measured = {
        "shares": "; ".join(f"{name} {', '.join(f'{end:.1f}' for end in of)}" for name, of in ends.items()),
        "collapsed": collapsed,
        "outcome": _OUTCOMES[collapsed],
        "means": ", ".join(f"{name} {claims.mean_in_words(of[:, -1])}" for name, of in iou.items()),
        "gain": claims.gain_in_words(gaps),
        "gaps": gaps,
    }
    steps, x_label = trained.steps["CE"], "steps from a random head"
    shares = {**trained.curves(share), "in the truth": Curve(steps, np.full(len(steps), truth))}
    plots = (
        Plot(shares, x_label, "per cent", "pixels of val labelled background"),
        Plot(trained.curves(iou), x_label, "per cent", "corpus IoU of naive upsampling"),
    )
    ways = "; ".join(f"{LOSS_NAMES[loss]} at rate {of.rate:g}" for loss, of in options.items())
    note = _RANDOM_NOTE.format(ways=ways, mass=schedule.iou.min_mass)
    draw = partial(reporting.plots, side_by_side=plots)
    return Finding(_FROM_SCRATCH, measured, table, draw, (note, *trained.notes()))


def continue_training(request: Request) -> Finding:
    """Continue one cross-entropy training with CE, UOI and 0.7 UOI + 0.3 CE, with each seed.

    In the course of training, the corpus IoU of Eq. 17's picks on val and of naive upsampling is measured.
    """
    run, schedule = request.run, request.run.settings.training
    options = {loss: schedule.of(loss) for loss in ("ce", "uoi", "uoi+ce")}
    trained = train_by_loss(request, options, continued=True)
    picks, naive = (trained.values(kind, partial(per_cent, run)) for kind in ("picks", "naive"))
    spread = {", smallest": (picks, np.min), ", largest": (picks, np.max)} if len(request.seeds) > 1 else {}
    title = "Figure 6: corpus IoU of what Eq. 17 picks on val, by training steps after the start"
    table = trained.table(title, {"": (picks, np.mean), **spread})
    start_steps = run.settings.evidence.start_steps or schedule.start.steps
    gains = [f"{name} {claims.mean_in_words(of[:, -1] - of[0, 0], '+.1f')}" for name, of in picks.items()]
    measured = {"steps": start_steps, "start": picks["CE"][0, 0], "gains": ", ".join(gains)}
    ends = {name: of[:, -1] for name, of in picks.items()}
    plots = [
        Plot(trained.curves(values), "steps after the start", "corpus IoU on val, per cent", title)
        for title, values in (("what Eq. 17 picks", picks), ("naive upsampling", naive))
    ]
    ways = "; ".join(f"{LOSS_NAMES[loss]} {of.steps} steps at rate {of.rate:g}" for loss, of in options.items())
    note = f"From one start of {start_steps:,} steps: {ways}; batches of {schedule.start.batch}."
    draw, notes = partial(reporting.plots, side_by_side=plots), (note, "The paper gives neither rates nor batch.")
    return Finding(_CONTINUED, measured | ends, table, draw, (*notes, *trained.notes()))


FROM_SCRATCH = Piece(
    "from-scratch", "Section 3.2: IOU and UOI from a random head", train_from_scratch, (data.STAGE, features.STAGE),
    seeded=True, settings=lambda s: [s.training.start, s.training.iou, s.training.uoi, s.coarse],
)  # fmt: skip
FIGURE_6 = Piece(
    "figure-6", "Figure 6: re-ranking accuracy while training continues with each loss", continue_training,
    (data.STAGE, features.STAGE, training.STAGE, proposals.STAGE, described.STAGE), seeded=True,
    settings=lambda s: s.evidence,
)  # fmt: skip
