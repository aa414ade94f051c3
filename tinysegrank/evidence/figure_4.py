"""Figure 4: the semantic feature maps, SegNet's output channels, of one image."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.judge import make_judge
from tinysegrank.evidence.pieces import AGREES, APART, DIFFERS, Asked, Claim, Finding, Piece
from tinysegrank.evidence.sources import class_names
from tinysegrank.experiment.images import names, open_split
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.experiment.stages.evaluation import read_confusions
from tinysegrank.metrics import mean_of_present
from tinysegrank.reporting import Cell, Column, Table
from tinysegrank.upsampling import naive
from tinysegrank.voc import BACKGROUND, CLASS_NAMES


def find(asked: Asked) -> Finding:
    """Show the maps of the richest image, and measure over val whether they can be read as the paper reads them."""
    run = asked.run
    coarse = np.asarray(read_coarse(run, f"val-{run.settings.ranking.loss}"))  # (N, 13, 13, K)
    cells = make_judge(run, proposals=False).cell_counts()
    chosen = richest(run, cells)
    inside, outside = in_and_out(coarse, cells)
    present = np.flatnonzero(cells.sum(axis=(0, 1, 2)))
    own = np.flatnonzero(cells[chosen].sum(axis=(0, 1)))
    rows: list[tuple[Cell, ...]] = [
        (
            CLASS_NAMES[k],
            *(float(value) for value in (coarse[chosen, ..., k].mean(), coarse[chosen, ..., k].max())),
            float(cells[chosen, ..., k].sum() / cells[chosen].sum()),
            float(inside[k]),
            float(outside[k]),
        )
        for k in range(len(CLASS_NAMES))
    ]
    name = names(run, "val")[chosen]
    columns = (
        Column("class"),
        *(Column(f"this image: {what}", ".3f") for what in ("mean", "largest", "share in the truth")),
        *(Column(f"all of val: {what}", ".3f") for what in ("in its cells", "in other cells")),
    )
    note = "Its cells: weighted by the pixels of the class in each cell; other cells by the pixels of other classes."
    table = Table(f"Figure 4: the semantic feature maps of {name}", columns, tuple(rows), note)
    claims = (readable(inside, outside, present), described_image(coarse[chosen], own))
    return Finding(claims, table, partial(draw, run=run, chosen=chosen, coarse=coarse[chosen]))


def richest(run: Run, cells: np.ndarray) -> int:
    """The image with the most classes in truth; of equals the one that naive upsampling labels best."""
    count = (cells.sum(axis=(1, 2)) > 0).sum(axis=1)  # (N,)
    iou = np.nan_to_num(mean_of_present(read_confusions(run, f"upsampled/naive-{run.settings.ranking.loss}")))
    return int(np.lexsort((iou, count))[-1])


def in_and_out(coarse: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean probability of each class where it is and where it is not, (K,) each; NaN where there is no such pixel.

    coarse | (N, 13, 13, K) | floating | SegNet's distributions
    cells  | (N, 13, 13, K) | int64    | pixels of each true class
    """
    others = cells.sum(axis=3, keepdims=True) - cells
    with np.errstate(invalid="ignore"):
        inside, outside = ((coarse * of).sum(axis=(0, 1, 2)) / of.sum(axis=(0, 1, 2)) for of in (cells, others))
    return inside, outside


def readable(inside: np.ndarray, outside: np.ndarray, present: np.ndarray) -> Claim:
    """Whether each map is brighter where its class is."""
    objects = present[present != BACKGROUND]
    brighter = objects[inside[objects] > outside[objects]]
    dark = f"; not those of {class_names(np.setdiff1d(objects, brighter))}" if len(brighter) < len(objects) else ""
    ratio = np.median(inside[objects] / outside[objects]) if len(objects) else float("nan")
    return Claim(
        "the final feature maps are semantic: they give probabilities of each class and can be interpreted.",
        f"over val the maps of {len(brighter)} of {len(objects)} object classes in the truth are brighter where their "
        f"class is than elsewhere (in the median class {ratio:.1f} times){dark}.",
        AGREES if 2 * len(brighter) > len(objects) else DIFFERS,
    )


def described_image(coarse: np.ndarray, own: np.ndarray) -> Claim:
    """What the maps say of the image shown."""
    objects = [k for k in np.argsort(-coarse.mean(axis=(0, 1))) if k != BACKGROUND][: max(1, len(own) - 1)]
    return Claim(
        "the example shows one map for each of the 21 classes.",
        f"the image shown holds {class_names(own)}; the brightest object maps are those of {class_names(objects)}.",
        APART,
    )


def draw(path: Path, *, run: Run, chosen: int, coarse: np.ndarray) -> None:
    """The image, its truth and the argmax, and 21 maps: three rows of eight."""
    split = open_split(run.settings, "val")
    image = split.image(chosen)
    labels = {"truth": split.labels(chosen), "coarse argmax": naive(coarse, image.shape[:2])}
    reporting.heat_maps(path, image, coarse, labels=labels, title=split.names[chosen])


PIECE = Piece("figure-4", "Figure 4: the semantic feature maps of an image", find, ("data", "coarse", "evaluation"))
