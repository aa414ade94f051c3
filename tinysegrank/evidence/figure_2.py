"""Figure 2: IOU and UOI of a label map while its pixels are flipped one by one."""

from __future__ import annotations

from functools import partial

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.claims import Statement, verdict_of_fact
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.images import open_split
from tinysegrank.experiment.stages import data
from tinysegrank.losses.simulation import simulate_flips
from tinysegrank.reporting import Column, Curve, Plot, Table
from tinysegrank.voc import VOID, VOCSegmentation

STATEMENTS = (
    Statement("the slope of IOU grows as mistakes become fewer and shrinks as they become more (Eqs. 4, 5).",
              "a hundredth of the pixels costs {iou[0]:.4f} IOU where nothing was wrong, {iou[1]:.4f} where nine "
              "tenths are.", lambda iou: verdict_of_fact(abs(iou[1]) < abs(iou[0])), ("iou",)),
    Statement("UOI behaves the other way round: a large slope with many mistakes, a small one with few (Eqs. 9, 10).",
              "a hundredth of the pixels adds {uoi[0]:.4f} UOI where nothing was wrong, {uoi[1]:.4f} where nine "
              "tenths are.", lambda uoi: verdict_of_fact(abs(uoi[0]) < abs(uoi[1])), ("uoi",)),
)  # fmt: skip
_DRAWS = 5
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_POINTS = 200  # of a curve that are drawn


def flip_labels(request: Request) -> Finding:
    """Flip the pixels of val's `richest` label map in several random orders, and measure IOU and UOI on the way."""
    split = open_split(request.run.settings, "val")
    chosen = richest(split)
    name, labels = split.names[chosen], split.labels(chosen)
    generators, count = map(np.random.default_rng, range(_DRAWS)), len(split.classes)
    draws = [simulate_flips(labels, num_classes=count, rng=rng) for rng in generators]
    pixels = int(draws[0].mistakes[-1])
    curves = [np.array([one.iou for one in draws]), np.array([one.uoi for one in draws])]  # (draws, pixels + 1)
    flipped = np.array([round(share * pixels) for share in _SHARES])
    now, later = ([of[:, at].mean(axis=0) for of in curves] for at in (flipped, flipped + max(1, pixels // 100)))
    iou, uoi = (after - before for before, after in zip(now, later, strict=True))  # (shares,) each
    rows = tuple(zip((100 * share for share in _SHARES), *(of.tolist() for of in (*now, iou, uoi)), strict=True))
    columns = (
        Column("pixels flipped, per cent"),
        *(Column(name, ".3f") for name in ("IOU", "UOI")),
        *(Column(f"change of {name}", ".4f") for name in ("IOU", "UOI")),
    )
    title = f"Figure 2: mean IOU and UOI of the true labels of {name} while pixels are flipped"
    note = f"Means of {_DRAWS} random orders; the changes are over the next hundredth of the pixels. "
    note += f"Classes: {split.classes.listed(np.unique(labels[labels != VOID]))}."
    measured = {"iou": -iou[[0, -1]], "uoi": uoi[[0, -1]]}
    plots, places = [], np.unique(np.linspace(0, int(0.95 * pixels), _POINTS).astype(int))  # UOI is infinite in the end
    for heading, of, what in zip(("IOU", "UOI"), curves, ("maximised", "minimised"), strict=True):
        curve = Curve.of_mean(100 * places / pixels, of[:, places])
        plots.append(Plot({heading: curve}, "pixels flipped, per cent", f"{heading}, to be {what}", name))
    table, draw = Table(title, columns, rows, note), partial(reporting.plots, side_by_side=plots)
    return Finding(STATEMENTS, measured, table, draw)


def richest(split: VOCSegmentation) -> int:
    """Return the index of the image with the most classes, among images whose classes all cover at least 1 % of it.

    Void pixels don't count. Flipping would soon remove a smaller class as a whole. Of several images, the one with the
    largest smallest class is taken.
    """

    def key(i: int) -> tuple[int, int]:
        labels = split.labels(i)
        counts = np.unique(labels[labels != VOID], return_counts=True)[1]
        smallest = int(counts.min(initial=labels.size))
        return (len(counts) if 100 * smallest >= counts.sum() else 0, smallest)

    return max(range(len(split)), key=key)


PIECE = Piece("figure-2", "Figure 2: IOU and UOI while labels are flipped", flip_labels, (data.STAGE,))
