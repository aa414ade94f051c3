"""Figure 2: IOU and UOI of a label map as its pixels are flipped one by one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.claims import Statement, check_claims, verdict_of_order
from tinysegrank.evidence.measures import class_names
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.images import open_split
from tinysegrank.losses.simulation import FlipCurve, simulate_flips
from tinysegrank.reporting import Column, Curve, Plot, Table
from tinysegrank.voc import NUM_CLASSES, VOID, VOCSegmentation

STATEMENTS = (
    Statement("the slope of IOU grows as mistakes become fewer and shrinks as they become more (Eqs. 4, 5).",
              "a hundredth of the pixels costs {iou_first:.4f} IOU where nothing was wrong, {iou_last:.4f} where nine "
              "tenths are.", verdict_of_order, ("iou_last", "iou_first")),
    Statement("UOI behaves the other way round: a large slope with many mistakes, a small one with few (Eqs. 9, 10).",
              "a hundredth of the pixels adds {uoi_first:.4f} UOI where nothing was wrong, {uoi_last:.4f} where nine "
              "tenths are.", verdict_of_order, ("uoi_first", "uoi_last")),
)  # fmt: skip
_DRAWS = 5
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_POINTS = 200  # of a curve that are drawn


def flip_labels(request: Request) -> Finding:
    """Flip the pixels of one true label map of val, see `richest`, in several random orders; measure IOU and UOI."""
    split = open_split(request.run.settings, "val")
    chosen = richest(split)
    labels = split.labels(chosen)
    draws = [simulate_flips(labels, num_classes=NUM_CLASSES, rng=np.random.default_rng(s)) for s in range(_DRAWS)]
    pixels = int(draws[0].mistakes[-1])
    rows, changes = [], []
    for share in _SHARES:
        flipped = round(share * pixels)
        now, later = ([_mean(draws, name, n) for name in ("iou", "uoi")] for n in (flipped, flipped + _step(pixels)))
        changes.append([after - before for before, after in zip(now, later, strict=True)])
        rows.append((100 * share, *now, *changes[-1]))
    (iou_first, uoi_first), (iou_last, uoi_last) = changes[0], changes[-1]
    measured = {"iou_first": -iou_first, "iou_last": -iou_last, "uoi_first": uoi_first, "uoi_last": uoi_last}
    columns = (
        Column("pixels flipped, per cent"),
        *(Column(name, ".3f") for name in ("IOU", "UOI")),
        *(Column(f"change of {name}", ".4f") for name in ("IOU", "UOI")),
    )
    title = f"Figure 2: mean IOU and UOI of the true labels of {split.names[chosen]} while pixels are flipped"
    note = f"Means of {_DRAWS} random orders; the changes are over the next hundredth of the pixels. "
    note += f"Classes: {class_names(np.unique(labels[labels != VOID]))}."
    draw = partial(_draw, draws=draws, title=split.names[chosen])
    return Finding(check_claims(STATEMENTS, measured), Table(title, columns, tuple(rows), note), draw)


def richest(split: VOCSegmentation) -> int:
    """Return the number of the image with the most classes, among images whose classes all cover at least 1 % of it.

    Otherwise flipping would soon remove a whole class.
    """

    def key(i: int) -> tuple[int, int]:
        labels = split.labels(i)
        counts = np.bincount(labels[labels != VOID], minlength=NUM_CLASSES)
        counts = counts[counts > 0]
        smallest = int(counts.min(initial=labels.size))
        return (len(counts) if 100 * smallest >= counts.sum() else 0, smallest)

    return max(range(len(split)), key=key)


def _step(pixels: int) -> int:
    return max(1, pixels // 100)


def _mean(draws: list[FlipCurve], name: str, flipped: int) -> float:
    return float(np.mean([getattr(draw, name)[flipped] for draw in draws]))


def _draw(path: Path, *, draws: list[FlipCurve], title: str) -> None:
    """Draw IOU and UOI side by side, up to 95 % of the pixels: UOI is infinite in the end."""
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


PIECE = Piece("figure-2", "Figure 2: IOU and UOI while labels are flipped", flip_labels, ("data",))
