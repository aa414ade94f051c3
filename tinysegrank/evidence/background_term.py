"""Eq. 17's background term, and the smoothing that its divergences need."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.claims import Ordering, Statement, verdict_of_gains
from tinysegrank.evidence.measures import make_judge, per_cent, read_described
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.stages import coarse, data, described, proposals
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.ranking import pick
from tinysegrank.reporting import Column, Curve, Plot, Table
from tinysegrank.voc import BACKGROUND

PAPER_WEIGHT = 0.02
IMPROVES = f"adding the term with weight {PAPER_WEIGHT} consistently improved validation performance (section 4)."
STATEMENTS = (
    Ordering(IMPROVES, f"weight {PAPER_WEIGHT}", "weight 0"),
    Statement("background is frequently overpredicted, hence the penalty (section 4).",
              "without the term the picks are {share:.1f} per cent background, the truth {truth:.1f}.",
              verdict_of_gains, ("excess",)),
    Statement("it says nothing of the zeros of a proposal, for which D(p || q) of Eq. 17 is infinite.",
              "both distributions are mixed with a share eps of the uniform one; the picks then score {smoothed}."),
)  # fmt: skip
_WEIGHTS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_EPSILONS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)
_NOTE = "The weights are compared on val itself, as in the paper, so the best of them is no estimate for new images."


def vary_background_term(request: Request) -> Finding:
    """Pick by Eq. 17 under each weight of the background term and each eps, and compare the corpus IoU of the picks."""
    run, judge, ranking = request.run, make_judge(request.run, picks=True), request.run.settings.ranking
    val, coarse = read_described(run, "val"), read_coarse(run, f"val-{ranking.loss}")
    epsilons = sorted({*_EPSILONS, ranking.eps})
    divergences, background = {eps: judge.divergences(coarse, eps) for eps in epsilons}, judge.backgrounds()
    terms = {(weight, eps): divergences[eps] + weight * background for weight, eps in product(_WEIGHTS, epsilons)}
    picks = {pair: pick(-of, val.table.groups) for pair, of in terms.items()}
    iou = {pair: per_cent(run, val.confusions[rows]) for pair, rows in picks.items()}
    without = picks[0.0, ranking.eps]
    confusions, cells = val.confusions[without], []
    labelled, true = confusions[:, :, BACKGROUND].sum(axis=1), confusions[:, BACKGROUND].sum(axis=1)  # (N,) pixels
    pixels = confusions.sum(axis=(1, 2))
    truth = 100 * float(true.sum() / pixels.sum())
    for weight in _WEIGHTS:
        own = picks[weight, ranking.eps]
        share = 100 * float(val.confusions[own][:, :, BACKGROUND].sum() / pixels.sum())
        cells.append((weight, *(iou[weight, eps] for eps in epsilons), int((own != without).sum()), share))
    columns = (
        Column("weight", "g"),
        *(Column(f"IoU, eps {eps:g}", ".2f") for eps in epsilons),
        Column(f"choices changed (eps {ranking.eps:g})", "d"),
        Column("background of the picks"),
    )
    note = f"Corpus IoU of Eq. 17's picks on val in per cent; of {len(without)} images. Background: per cent of the "
    note += f"pixels, in the truth {truth:.1f}."
    table = Table("The background term of Eq. 17, and the smoothing eps", columns, tuple(cells), note)
    measured = {
        f"weight {PAPER_WEIGHT}": val.confusions[picks[PAPER_WEIGHT, ranking.eps]],
        "weight 0": confusions,
        "share": cells[0][-1],
        "truth": truth,
        "excess": (labelled - true) / np.maximum(pixels, 1),
        "smoothed": ", ".join(f"{iou[PAPER_WEIGHT, eps]:.1f} at {eps:g}" for eps in epsilons),
    }
    weights = _WEIGHTS[1:]  # those above 0, as the axis is logarithmic
    lines = {f"eps {eps:g}": Curve(np.array(weights), np.array([iou[w, eps] for w in weights])) for eps in epsilons}
    x_label, y_label = "weight of the background term", "corpus IoU on val, per cent"
    draw = partial(reporting.plots, side_by_side=[Plot(lines, x_label, y_label, "what Eq. 17 picks", "x")])
    return Finding(STATEMENTS, measured, table, draw, (_NOTE,))


_NEEDS = (data.STAGE, coarse.STAGE, proposals.STAGE, described.STAGE)
PIECE = Piece("background-term", "Eq. 17: the background term and the smoothing", vary_background_term, _NEEDS)
