"""Figures 3 to 5: images of val with every labelling, chosen by rule so that they show what the captions speak of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.captions import helped_and_hurt, over_labelled, smaller_chosen
from tinysegrank.evidence.images import Images, figure_3, figure_4_ranker, figure_5, measure, places
from tinysegrank.evidence.pieces import Asked, Claim, Finding, Piece
from tinysegrank.experiment.images import names, open_split
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.reporting import Cell, Column, PanelRow, Table
from tinysegrank.voc import read_labels

NEEDS = ("data", "coarse", "upsampled", "described", "picked")


def find(
    asked: Asked,
    *,
    title: str,
    choose: Callable[[Images], np.ndarray],
    claim: Callable[[Images], tuple[Claim, ...]],
    chosen: tuple[str, ...],
) -> Finding:
    """Choose images, measure them, and draw them."""
    images = measure(asked.run)
    shown, images_of_val = choose(images), names(asked.run, "val")
    kinds = [*places(asked.run)]
    rows: list[tuple[Cell, ...]] = [
        (
            images_of_val[i],
            *(float(100 * images.iou[kind][i]) for kind in kinds),
            *(float(100 * images.objects[kind][i]) for kind in ("truth", "naive", "1-best", *chosen)),
        )
        for i in shown
    ]
    columns = (
        Column("image"),
        *(Column(f"IoU, {kind}") for kind in kinds),
        *(Column(f"object, {kind}") for kind in ("truth", "naive", "1-best", *chosen)),
    )
    rule = " ".join((choose.__doc__ or "").split())
    note = f"{rule} IoU of the image, and share of its pixels labelled as objects, in per cent."
    table = Table(title, columns, tuple(rows), note)
    return Finding(claim(images), table, partial(draw, run=asked.run, images=images, shown=shown, chosen=chosen))


def draw(path: Path, *, run: Run, images: Images, shown: np.ndarray, chosen: tuple[str, ...]) -> None:
    """A row an image: truth, coarse argmax, superpixels, the 1-best proposal, what was chosen, the oracle."""
    if not len(shown):
        nothing(path)
        return
    split, coarse = open_split(run.settings, "val"), read_coarse(run, f"val-{run.settings.ranking.loss}")
    rows = []
    for i in shown:
        labels = {"truth": split.labels(i), "coarse argmax": coarse[i].argmax(axis=2)}
        captions = {"coarse argmax": f"IoU {100 * images.iou['naive'][i]:.0f}"}
        for kind in ("superpixel", "1-best", *chosen, "oracle"):
            heading = f"chosen ({kind})" if kind in chosen else kind
            labels[heading] = read_labels(run.path / places(run)[kind] / f"{split.names[i]}.png")
            captions[heading] = f"IoU {100 * images.iou[kind][i]:.0f}"
        rows.append(PanelRow(split.names[i], split.image(i), labels, captions))
    reporting.qualitative_panels(path, rows)


def nothing(path: Path) -> None:
    """A figure that says that no image is of the kind looked for."""
    grey = np.full((40, 160, 3), 225, np.uint8)
    reporting.qualitative_panels(
        path, [PanelRow("no image of val is of the kind that the caption speaks of", grey, {})]
    )


def _piece(name: str, title: str, choose: Callable[[Images], np.ndarray], claim: Callable[[Images], tuple[Claim, ...]],
           chosen: tuple[str, ...]) -> Piece:  # fmt: skip
    return Piece(name, title, partial(find, title=title, choose=choose, claim=claim, chosen=chosen), NEEDS)


PIECES = (
    _piece("figure-3", "Figure 3: too much object from the coarse grid", figure_3, over_labelled, ("Eq. 17",)),
    _piece(
        "figure-4-ranker",
        "Figure 4's caption: the SVM ranker helps and hurts",
        figure_4_ranker,
        helped_and_hurt,
        ("Eq. 17", "SVM"),
    ),
    _piece("figure-5", "Figure 5: the smaller, better proposal chosen", figure_5, smaller_chosen, ("Eq. 17",)),
)
