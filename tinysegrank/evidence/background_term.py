"""Eq. 17's background term, and the smoothing that its divergences need."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.judge import Judge, make_judge
from tinysegrank.evidence.pieces import APART, Asked, Claim, Finding, Piece
from tinysegrank.evidence.sources import compare, described, per_cent, total
from tinysegrank.evidence.verdicts import verdict_of_gains
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.ranking import kl_divergences, pick
from tinysegrank.reporting import Cell, Column, Curve, Plot, Table
from tinysegrank.voc import BACKGROUND

PAPER_WEIGHT = 0.02
SAID = f"adding the term with weight {PAPER_WEIGHT} consistently improved validation performance (section 4)."
WEIGHTS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
EPSILONS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)


def find(asked: Asked) -> Finding:
    """Pick by Eq. 17 with each weight and each eps."""
    run, judge = asked.run, make_judge(asked.run, proposals=True)
    held, ranking = described(run, "val"), run.settings.ranking
    epsilons = tuple(sorted({*EPSILONS, ranking.eps}))
    divergences, background = terms(run, judge, epsilons)
    groups = held.table.groups
    rows = {
        (weight, eps): pick(-(divergences[eps] + weight * background), groups) for weight in WEIGHTS for eps in epsilons
    }
    iou = {key: per_cent(run, total(held.confusions[of])) for key, of in rows.items()}
    without = rows[0.0, ranking.eps]
    table_rows: list[tuple[Cell, ...]] = []
    for weight in WEIGHTS:
        own = rows[weight, ranking.eps]
        cells = (int((own != without).sum()), 100 * background_share(held.confusions[own]))
        table_rows.append((weight, *(iou[weight, eps] for eps in epsilons), *cells))
    truth = 100 * truth_share(held.confusions[without])
    columns = (
        Column("weight", "g"),
        *(Column(f"IoU, eps {eps:g}", ".2f") for eps in epsilons),
        Column(f"choices changed (eps {ranking.eps:g})", "d"),
        Column("background of the picks"),
    )
    note = f"Corpus IoU of Eq. 17's picks on val in per cent; of {len(without)} images. Background: per cent of the "
    note += f"pixels, in the truth {truth:.1f}."
    table = Table("The background term of Eq. 17, and the smoothing eps", columns, tuple(table_rows), note)
    claims = (
        compare(
            run,
            SAID,
            (f"weight {PAPER_WEIGHT}", held.confusions[rows[PAPER_WEIGHT, ranking.eps]]),
            ("weight 0", held.confusions[without]),
        ),
        overpredicted(held.confusions[without]),
        smoothing(iou, epsilons),
    )
    return Finding(claims, table, partial(draw_curves, iou=iou, epsilons=epsilons), NOTES)


def terms(run: Run, judge: Judge, epsilons: tuple[float, ...]) -> tuple[dict[float, np.ndarray], np.ndarray]:
    """The two parts of Eq. 17 for each proposal of val.

    divergences | each (rows,) float64 | both directions summed, by eps
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


def background_share(confusions: np.ndarray) -> float:
    """Share of the pixels labelled background."""
    return float(confusions[..., BACKGROUND].sum() / confusions.sum())


def truth_share(confusions: np.ndarray) -> float:
    """Share of the pixels that are background in truth."""
    return float(confusions[:, BACKGROUND].sum() / confusions.sum())


def overpredicted(confusions: np.ndarray) -> Claim:
    """The paper's reason for the term, by the picks without it, (N, K, K)."""
    share, truth = background_share(confusions), truth_share(confusions)
    excess = confusions[..., BACKGROUND].sum(axis=1) - confusions[:, BACKGROUND].sum(axis=1)  # pixels of each image
    return Claim(
        "background is frequently overpredicted, hence the penalty (section 4).",
        f"without the term the picks are {100 * share:.1f} per cent background, the truth {100 * truth:.1f}.",
        verdict_of_gains(excess / np.maximum(confusions.sum(axis=(1, 2)), 1)),
    )


def smoothing(iou: dict[tuple[float, float], float], epsilons: tuple[float, ...]) -> Claim:
    """What our choice of eps does."""
    found = ", ".join(f"{iou[PAPER_WEIGHT, eps]:.1f} at {eps:g}" for eps in epsilons)
    return Claim(
        "it says nothing of the zeros of a proposal, for which D(p || q) of Eq. 17 is infinite.",
        f"both distributions are mixed with a share eps of the uniform one; the picks then score {found}.",
        APART,
    )


def draw_curves(path: Path, *, iou: dict[tuple[float, float], float], epsilons: tuple[float, ...]) -> None:
    """IoU against the weight, a line an eps."""
    weights = [weight for weight in WEIGHTS if weight > 0]
    lines = {f"eps {eps:g}": Curve(np.array(weights), np.array([iou[w, eps] for w in weights])) for eps in epsilons}
    title, label = "what Eq. 17 picks", "weight of the background term"
    reporting.plots(path, [Plot(lines, label, "corpus IoU on val, per cent", title, logarithmic="x")])


NOTES = ("The weights are compared on val itself, as in the paper, so the best of them is no estimate for new images.",)
PIECE = Piece(
    "background-term",
    "Eq. 17: the background term and the smoothing",
    find,
    ("data", "coarse", "proposals", "described"),
)
