"""Eq. 17's background term, and the smoothing that its divergences need."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence import claims
from tinysegrank.evidence.claims import Ordering, Statement
from tinysegrank.evidence.judge import Judge, make_judge
from tinysegrank.evidence.measures import background_pixels, described, per_cent, summed
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.ranking import kl_divergences, pick
from tinysegrank.reporting import Column, Curve, Plot, Table
from tinysegrank.voc import BACKGROUND

PAPER_WEIGHT = 0.02
IMPROVES = f"adding the term with weight {PAPER_WEIGHT} consistently improved validation performance (section 4)."
STATEMENTS = (
    Ordering(IMPROVES, f"weight {PAPER_WEIGHT}", "weight 0"),
    Statement("background is frequently overpredicted, hence the penalty (section 4).",
              "without the term the picks are {share:.1f} per cent background, the truth {truth:.1f}.",
              claims.verdict_of_gains, ("excess",)),
    Statement("it says nothing of the zeros of a proposal, for which D(p || q) of Eq. 17 is infinite.",
              "both distributions are mixed with a share eps of the uniform one; the picks then score {smoothed}.",
              claims.not_compared),
)  # fmt: skip
_WEIGHTS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_EPSILONS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)
_NOTES = (
    "The weights are compared on val itself, as in the paper, so the best of them is no estimate for new images.",
)


def vary_background_term(request: Request) -> Finding:
    """Pick by Eq. 17 with each weight of the background term and each eps, and compare the picks' accuracy."""
    run, judge = request.run, make_judge(request.run, proposals=True)
    val, eps_of_run = described(run, "val"), request.run.settings.ranking.eps
    epsilons = tuple(sorted({*_EPSILONS, eps_of_run}))
    divergences, background = _terms(run, judge, epsilons)
    picks = {
        (weight, eps): pick(-(divergences[eps] + weight * background), val.table.groups)
        for weight in _WEIGHTS
        for eps in epsilons
    }
    iou = {key: per_cent(run, summed(val.confusions[rows])) for key, rows in picks.items()}
    without = picks[0.0, eps_of_run]
    labelled, true, pixels = background_pixels(val.confusions[without])
    truth = 100 * float(true.sum() / pixels.sum())
    rows = []
    for weight in _WEIGHTS:
        own = picks[weight, eps_of_run]
        labelled_here, _, pixels_here = background_pixels(val.confusions[own])
        share = 100 * float(labelled_here.sum() / pixels_here.sum())
        rows.append((weight, *(iou[weight, eps] for eps in epsilons), int((own != without).sum()), share))
    columns = (
        Column("weight", "g"),
        *(Column(f"IoU, eps {eps:g}", ".2f") for eps in epsilons),
        Column(f"choices changed (eps {eps_of_run:g})", "d"),
        Column("background of the picks"),
    )
    note = f"Corpus IoU of Eq. 17's picks on val in per cent; of {len(without)} images. Background: per cent of the "
    note += f"pixels, in the truth {truth:.1f}."
    measured = {
        f"weight {PAPER_WEIGHT}": val.confusions[picks[PAPER_WEIGHT, eps_of_run]],
        "weight 0": val.confusions[without],
        "share": rows[0][-1],
        "truth": truth,
        "excess": (labelled - true) / np.maximum(pixels, 1),  # of each image
        "smoothed": ", ".join(f"{iou[PAPER_WEIGHT, eps]:.1f} at {eps:g}" for eps in epsilons),
    }
    table = Table("The background term of Eq. 17, and the smoothing eps", columns, tuple(rows), note)
    found = claims.check_claims(STATEMENTS, measured, claims.over_images(run))
    return Finding(found, table, partial(_draw, iou=iou, epsilons=epsilons), _NOTES)


def _terms(run: Run, judge: Judge, epsilons: tuple[float, ...]) -> tuple[dict[float, np.ndarray], np.ndarray]:
    """Compute the two parts of Eq. 17 for each proposal of val.

    divergences | each (rows,) float64 | sum of both directions, by eps
    background  | (rows,) float64      | cells of background in the proposal
    """
    coarse = read_coarse(run, f"val-{run.settings.ranking.loss}")
    soft, groups = judge.soft_proposals(), judge.proposals()["groups"]
    divergences = {eps: np.empty(len(groups)) for eps in epsilons}
    for image, own in enumerate(coarse):
        rows = np.flatnonzero(groups == image)
        part = soft[rows[0] : rows[-1] + 1]
        for eps in epsilons:
            divergences[eps][rows] = np.sum(kl_divergences(own, part, eps=eps), axis=0)
    return divergences, soft[..., BACKGROUND].sum(axis=(1, 2), dtype=np.float64)


def _draw(path: Path, *, iou: dict[tuple[float, float], float], epsilons: tuple[float, ...]) -> None:
    """Draw IoU against the weight, one line per eps."""
    weights = [weight for weight in _WEIGHTS if weight > 0]
    lines = {f"eps {eps:g}": Curve(np.array(weights), np.array([iou[w, eps] for w in weights])) for eps in epsilons}
    title, label = "what Eq. 17 picks", "weight of the background term"
    reporting.plots(path, [Plot(lines, label, "corpus IoU on val, per cent", title, logarithmic="x")])


_NEEDS = ("data", "coarse", "proposals", "described")
PIECE = Piece("background-term", "Eq. 17: the background term and the smoothing", vary_background_term, _NEEDS)
