"""Figure 4: the semantic feature maps, SegNet's output channels, of one image."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.claims import Statement, check_claims, not_compared, verdict_of_fact
from tinysegrank.evidence.judge import make_judge
from tinysegrank.evidence.measures import class_names, system_confusions
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.images import names, open_split
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.metrics import mean_of_present
from tinysegrank.reporting import Cell, Column, Table
from tinysegrank.upsampling import naive
from tinysegrank.voc import BACKGROUND, CLASS_NAMES

STATEMENTS = (
    Statement("the final feature maps are semantic: they give probabilities of each class and can be interpreted.",
              "over val the maps of {brighter} of {objects} object classes in the truth are brighter where their class "
              "is than elsewhere (in the median class {ratio:.1f} times){dark}.", verdict_of_fact, ("most_are",)),
    Statement("the example shows one map for each of the 21 classes.",
              "the image shown holds {own}; the brightest object maps are those of {brightest}.", not_compared),
)  # fmt: skip


def show_feature_maps(request: Request) -> Finding:
    """Show the maps of the image with the most classes, and test over all of val the paper's reading of such maps."""
    run = request.run
    coarse = np.asarray(read_coarse(run, f"val-{run.settings.ranking.loss}"))  # (N, 13, 13, K)
    cells = make_judge(run, proposals=False).cell_counts()
    chosen = _richest(run, cells)
    maps, truth = coarse[chosen], cells[chosen]
    inside, outside = in_and_out(coarse, cells)
    others = (maps.max(axis=(0, 1)), truth.sum(axis=(0, 1)) / truth.sum(), inside, outside)
    rows: list[tuple[Cell, ...]] = [
        (name, float(maps[..., k].mean()), *(float(of[k]) for of in others)) for k, name in enumerate(CLASS_NAMES)
    ]
    columns = (
        Column("class"),
        *(Column(f"this image: {what}", ".3f") for what in ("mean", "largest", "share in the truth")),
        *(Column(f"all of val: {what}", ".3f") for what in ("in its cells", "in other cells")),
    )
    title = f"Figure 4: the semantic feature maps of {names(run, 'val')[chosen]}"
    note = "Its cells: weighted by the pixels of the class in each cell; other cells by the pixels of other classes."
    measured = _measured(maps, truth, inside, outside, np.flatnonzero(cells.sum(axis=(0, 1, 2))))
    draw = partial(_draw, run=run, chosen=chosen, coarse=maps)
    return Finding(check_claims(STATEMENTS, measured), Table(title, columns, tuple(rows), note), draw)


def _richest(run: Run, cells: np.ndarray) -> int:
    """Return the number of the image with the most true classes; of several, the one naive upsampling labels best."""
    count = (cells.sum(axis=(1, 2)) > 0).sum(axis=1)  # (N,)
    (confusions,) = system_confusions(run, ["naive upsampling"]).values()
    return int(np.lexsort((np.nan_to_num(mean_of_present(confusions)), count))[-1])


def in_and_out(coarse: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each class's mean probability at its own pixels and at all others, (K,) each; NaN without such pixels.

    coarse | (N, 13, 13, K) | floating | SegNet's distributions
    cells  | (N, 13, 13, K) | int64    | pixels of each true class
    """
    others = cells.sum(axis=3, keepdims=True) - cells
    with np.errstate(invalid="ignore"):
        inside, outside = ((coarse * of).sum(axis=(0, 1, 2)) / of.sum(axis=(0, 1, 2)) for of in (cells, others))
    return inside, outside


def _measured(
    maps: np.ndarray, truth: np.ndarray, inside: np.ndarray, outside: np.ndarray, present: np.ndarray
) -> dict[str, Any]:
    objects = present[present != BACKGROUND]
    brighter = objects[inside[objects] > outside[objects]]
    dark = f"; not those of {class_names(np.setdiff1d(objects, brighter))}" if len(brighter) < len(objects) else ""
    own = np.flatnonzero(truth.sum(axis=(0, 1)))
    brightest = [k for k in np.argsort(-maps.mean(axis=(0, 1))) if k != BACKGROUND][: max(1, len(own) - 1)]
    return {
        "brighter": len(brighter),
        "objects": len(objects),
        "ratio": np.median(inside[objects] / outside[objects]) if len(objects) else float("nan"),
        "dark": dark,
        "most_are": 2 * len(brighter) > len(objects),
        "own": class_names(own),
        "brightest": class_names(brightest),
    }


def _draw(path: Path, *, run: Run, chosen: int, coarse: np.ndarray) -> None:
    """Draw the image, its truth, the argmax, and 21 maps: three rows of eight."""
    split = open_split(run.settings, "val")
    image = split.image(chosen)
    labels = {"truth": split.labels(chosen), "coarse argmax": naive(coarse, image.shape[:2])}
    reporting.heat_maps(path, image, coarse, labels=labels, title=split.names[chosen])


_NEEDS = ("data", "coarse", "evaluation")
PIECE = Piece("figure-4", "Figure 4: the semantic feature maps of an image", show_feature_maps, _NEEDS)
