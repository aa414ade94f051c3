"""Figure 2: IOU and UOI of a label map as its pixels are flipped one by one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.pieces import AGREES, DIFFERS, Asked, Claim, Finding, Piece
from tinysegrank.evidence.sources import class_names
from tinysegrank.experiment.images import open_split
from tinysegrank.losses.simulation import FlipCurve, simulate_flips
from tinysegrank.reporting import Column, Curve, Plot, Table
from tinysegrank.voc import NUM_CLASSES, VOID, VOCSegmentation

DRAWS = 5
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_POINTS = 200  # of a curve that are drawn


def find(asked: Asked) -> Finding:
    """Flip the pixels of the richest true label map of val, in several random orders."""
    split = open_split(asked.run.settings, "val")
    chosen = richest(split)
    labels = split.labels(chosen)
    present = np.unique(labels[labels != VOID])
    draws = [simulate_flips(labels, num_classes=NUM_CLASSES, rng=np.random.default_rng(s)) for s in range(DRAWS)]
    pixels = int(draws[0].mistakes[-1])
    rows = [round(share * pixels) for share in _SHARES]
    slopes = {row: [slope(draws, name, row, pixels) for name in ("iou", "uoi")] for row in rows}
    table = Table(
        f"Figure 2: mean IOU and UOI of the true labels of {split.names[chosen]} while pixels are flipped",
        (
            Column("pixels flipped, per cent"),
            Column("IOU", ".3f"),
            Column("UOI", ".3f"),
            Column("change of IOU", ".4f"),
            Column("change of UOI", ".4f"),
        ),
        tuple(
            (
                100 * share,
                mean(draws, "iou", row),
                mean(draws, "uoi", row),
                *slopes[row],
            )
            for share, row in zip(_SHARES, rows, strict=True)
        ),
        f"Means of {DRAWS} random orders; the changes are over the next hundredth of the pixels. "
        f"Classes: {class_names(present)}.",
    )
    first, last = slopes[rows[0]], slopes[rows[-1]]
    draw = partial(draw_curves, draws=draws, title=split.names[chosen])
    return Finding(tuple(claims(first, last)), table, draw)


def richest(split: VOCSegmentation) -> int:
    """The image with the most classes, none of them below a hundredth of its pixels, that no class is soon lost."""

    def key(i: int) -> tuple[int, int]:
        labels = split.labels(i)
        counts = np.bincount(labels[labels != VOID], minlength=NUM_CLASSES)
        counts = counts[counts > 0]
        smallest = int(counts.min(initial=labels.size))
        return (len(counts) if 100 * smallest >= counts.sum() else 0, smallest)

    return max(range(len(split)), key=key)


def mean(draws: list[FlipCurve], name: str, row: int) -> float:
    """The mean over the draws after so many flips."""
    return float(np.mean([getattr(draw, name)[row] for draw in draws]))


def slope(draws: list[FlipCurve], name: str, row: int, pixels: int) -> float:
    """The mean change over the next hundredth of the pixels."""
    return mean(draws, name, row + max(1, pixels // 100)) - mean(draws, name, row)


def claims(first: list[float], last: list[float]) -> list[Claim]:
    """IOU's slope is large where UOI's is small, and the other way round."""
    (iou_first, uoi_first), (iou_last, uoi_last) = first, last
    return [
        Claim(
            "the slope of IOU grows as mistakes become fewer and shrinks as they become more (Eqs. 4, 5).",
            f"a hundredth of the pixels costs {-iou_first:.4f} IOU where nothing was wrong, {-iou_last:.4f} where nine "
            "tenths are.",
            AGREES if abs(iou_first) > abs(iou_last) else DIFFERS,
        ),
        Claim(
            "UOI behaves the other way round: a large slope with many mistakes, a small one with few (Eqs. 9, 10).",
            f"a hundredth of the pixels adds {uoi_first:.4f} UOI where nothing was wrong, {uoi_last:.4f} where nine "
            "tenths are.",
            AGREES if abs(uoi_first) < abs(uoi_last) else DIFFERS,
        ),
    ]


def draw_curves(path: Path, *, draws: list[FlipCurve], title: str) -> None:
    """IOU and UOI side by side, up to 95 % of the pixels: UOI is infinite in the end."""
    end = int(0.95 * draws[0].mistakes[-1])
    places = np.unique(np.linspace(0, end, _POINTS).astype(int))
    side_by_side = []
    for name, what in (("iou", "IOU, to be maximised"), ("uoi", "UOI, to be minimised")):
        values = np.array([getattr(one, name)[places] for one in draws])  # (draws, points)
        finite = np.isfinite(values).all(axis=0)
        x, values = 100 * places[finite] / draws[0].mistakes[-1], values[:, finite]
        curve = Curve(x, values.mean(axis=0), values.min(axis=0), values.max(axis=0))
        side_by_side.append(Plot({name.upper(): curve}, "pixels flipped, per cent", what, title))
    reporting.plots(path, side_by_side)


PIECE = Piece("figure-2", "Figure 2: IOU and UOI while labels are flipped", find, ("data",))
