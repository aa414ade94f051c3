"""Figures 3 to 5: images of val, chosen by rules to show what the captions say, and counts over all of val."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence import claims
from tinysegrank.evidence.claims import Statement
from tinysegrank.evidence.measures import make_judge, system_confusions
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.images import images_of
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import coarse, data, evaluation, picked, upsampled
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.experiment.stages.report import panel_row
from tinysegrank.metrics import mean_of_present
from tinysegrank.reporting import Cell, Column, PanelRow, Table
from tinysegrank.upsampling import naive
from tinysegrank.voc import BACKGROUND

SYSTEMS = {
    "naive": "naive upsampling",
    "superpixel": "superpixel upsampling",
    "1-best": "1-best",
    "Eq. 17": "Eq. 17",
    "SVM": "SegNet+SVM",
    "oracle": "oracle",
}
"""The labellings shown, by heading."""
_SHOWN = 4


class Images(NamedTuple):
    """Measurements of each image of val, for each heading in SYSTEMS.

    iou     | each (N,) | float64 | mean IoU of the classes in truth or labels, 0..1; 0 if all is void
    objects | each (N,) | float64 | share of the non-void pixels labelled as objects, 0..1; also for "truth"
    """

    iou: dict[str, np.ndarray]
    objects: dict[str, np.ndarray]

    def gain(self, of: str, over: str) -> np.ndarray:
        """Return the images' IoU by one system minus that by another, (N,), both given by heading."""
        return self.iou[of] - self.iou[over]


class Figure(NamedTuple):
    """A figure of single images: its name and title, the rule that chooses its images, and the caption's claims."""

    name: str
    title: str
    rule: str  # in words
    choose: Callable[[Images], np.ndarray]  # returns the indices of the images to show
    chosen: tuple[str, ...]  # headings of the systems whose choice of proposals is shown
    statements: tuple[Statement, ...]


def measure(run: Run) -> Images:
    """Measure every image of val, from the confusion matrices of the systems."""
    iou, objects = {}, {}
    for heading, confusions in zip(SYSTEMS, system_confusions(run, SYSTEMS.values()).values(), strict=True):
        pixels = np.maximum(confusions.sum(axis=(1, 2)), 1)
        iou[heading] = np.nan_to_num(mean_of_present(confusions))
        objects[heading] = 1 - confusions[:, :, BACKGROUND].sum(axis=1) / pixels
        objects["truth"] = 1 - confusions[:, BACKGROUND].sum(axis=1) / pixels
    return Images(iou, objects)


def _largest(gain: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the indices of the largest gains above 0, the largest first, where `among` is True: at most 4."""
    order = np.argsort(-gain, kind="stable")
    return order[(gain > 0)[order] & among[order]][:_SHOWN]


def too_much_object(images: Images) -> np.ndarray:
    """Choose the images of Figure 3: at most 4 with the largest losses of Eq. 17 against the 1-best.

    Only images count in which naive upsampling labels more as object than the truth has, and the pick of Eq. 17 more
    than the 1-best.
    """
    objects = images.objects
    among = (objects["naive"] > objects["truth"]) & (objects["Eq. 17"] > objects["1-best"])
    return _largest(images.gain("1-best", "Eq. 17"), among)


def helped_and_hurt(images: Images) -> np.ndarray:
    """Choose Figure 4's images: at most 2 where the SVM gains most over Eq. 17, then at most 2 where it loses most."""
    gain = images.gain("SVM", "Eq. 17")
    return np.concatenate([_largest(sign * gain, sign * gain > 0)[: _SHOWN // 2] for sign in (1, -1)])


def smaller_object(images: Images) -> np.ndarray:
    """Choose the images of Figure 5: at most 4 with the largest gains of Eq. 17 over the 1-best.

    Only images count in which the pick of Eq. 17 labels less as object than the 1-best, but not nothing.
    """
    size = images.objects["Eq. 17"]
    return _largest(images.gain("Eq. 17", "1-best"), (size > 0) & (size < images.objects["1-best"]))


def _counts(images: Images) -> dict[str, Any]:
    """Return the measurements by which the statements of FIGURES are judged: counts and means over val, by name."""
    objects, gain = images.objects, images.gain("Eq. 17", "1-best")
    size = objects["Eq. 17"] - objects["1-best"]
    gains = {"eq17": gain, "wider": gain[size > 0], "smaller": gain[size < 0], "svm": images.gain("SVM", "Eq. 17")}
    gains |= {"oracle": images.gain("oracle", "SVM"), "naive": images.gain("naive", "oracle")}
    found: dict[str, Any] = {"images": len(gain), "eq17_gains": gain}
    for name, of in gains.items():
        found |= {f"{name}_better": int((of > 0).sum()), f"{name}_worse": int((of < 0).sum())}
        found |= {f"{name}_same": int((of == 0).sum()), f"{name}_mean": 100 * float(of.mean()) if of.size else 0.0}
    found["excess"] = {heading: share - objects["truth"] for heading, share in objects.items()}
    return found | {"objects": {heading: 100 * share.mean() for heading, share in objects.items()}}


def show_images(request: Request, *, figure: Figure) -> Finding:
    """Choose images by the rule of a figure, tabulate their measurements, and draw one row of labellings per image.

    A row shows truth, coarse argmax, superpixels, the 1-best proposal, the figure's choices, and the oracle.
    """
    run, images, sizes = request.run, measure(request.run), ("truth", "naive", "1-best", *figure.chosen)
    shown = ("superpixel", "1-best", *figure.chosen, "oracle")
    kinds = {f"chosen ({kind})" if kind in figure.chosen else kind: kind for kind in shown}
    rows: list[tuple[Cell, ...]] = []
    panels = []
    for image in images_of(run, "val", figure.choose(images)):
        iou, size = ({heading: float(100 * of[image.number]) for heading, of in part.items()} for part in images)
        rows.append((image.name, *(iou[heading] for heading in SYSTEMS), *(size[heading] for heading in sizes)))
        panel = panel_row(image, {heading: SYSTEMS[kind] for heading, kind in kinds.items()})
        captions = {heading: f"IoU {iou[kind]:.0f}" for heading, kind in {"coarse argmax": "naive", **kinds}.items()}
        panels.append(replace(panel, captions=captions))
    columns = ("image", *(f"IoU, {heading}" for heading in SYSTEMS), *(f"object, {heading}" for heading in sizes))
    note = f"{figure.rule} IoU of the image, and share of its pixels labelled as objects, in per cent."
    table = Table(figure.title, tuple(map(Column, columns)), tuple(rows), note)
    grey = np.full((40, 160, 3), 225, np.uint8)
    nothing = PanelRow("no image of val is of the kind that the caption speaks of", grey, {})
    draw = partial(reporting.qualitative_panels, rows=panels or [nothing], classes=run.settings.classes)
    return Finding(figure.statements, _counts(images), table, draw)


def show_feature_maps(request: Request) -> Finding:
    """Draw SegNet's maps of the image with the most classes, and test over val the paper's reading of such maps."""
    run, classes = request.run, request.run.settings.classes
    coarse = np.asarray(read_coarse(run, f"val-{run.settings.ranking.loss}"))  # (N, 13, 13, K)
    cells = make_judge(run, picks=False).cell_counts()
    (confusions,) = system_confusions(run, ["naive upsampling"]).values()
    count = (cells.sum(axis=(1, 2)) > 0).sum(axis=1)  # (N,) classes
    chosen = int(np.lexsort((np.nan_to_num(mean_of_present(confusions)), count))[-1])  # the best labelled of several
    (image,) = images_of(run, "val", [chosen])
    maps, truth = coarse[chosen], cells[chosen].sum(axis=(0, 1))
    inside, outside = in_and_out(coarse, cells)
    of_classes = (maps.max(axis=(0, 1)), truth / truth.sum(), inside, outside)
    mean = [float(maps[..., k].mean()) for k in range(len(classes))]
    columns = (
        Column("class"),
        *(Column(f"this image: {what}", ".3f") for what in ("mean", "largest", "share in the truth")),
        *(Column(f"all of val: {what}", ".3f") for what in ("in its cells", "in other cells")),
    )
    rows = tuple(zip(classes.names, mean, *(of.tolist() for of in of_classes), strict=True))
    note = "Its cells: weighted by the pixels of the class in each cell; other cells by the pixels of other classes."
    objects = np.setdiff1d(np.flatnonzero(cells.sum(axis=(0, 1, 2))), BACKGROUND)
    brighter = objects[inside[objects] > outside[objects]]
    dark = f"; not those of {classes.listed(np.setdiff1d(objects, brighter))}" if len(brighter) < len(objects) else ""
    own, order = np.flatnonzero(truth), np.argsort(-maps.mean(axis=(0, 1)))
    measured = {
        "brighter": len(brighter),
        "objects": len(objects),
        "ratio": np.median(inside[objects] / outside[objects]) if len(objects) else float("nan"),
        "dark": dark,
        "most_are": 2 * len(brighter) > len(objects),
        "own": classes.listed(own),
        "brightest": classes.listed(order[order != BACKGROUND][: max(1, len(own) - 1)]),
    }
    pixels = image.image()  # drawn with its truth, the argmax, and a map of each class
    labels = {"truth": image.labels(), "coarse argmax": naive(maps, pixels.shape[:2])}
    draw = partial(reporting.heat_maps, image=pixels, maps=maps, labels=labels, title=image.name, classes=classes)
    table = Table(f"Figure 4: the semantic feature maps of {image.name}", columns, rows, note)
    return Finding(FEATURE_MAPS, measured, table, draw)


def in_and_out(coarse: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each class's mean probability over its own pixels and over all others, (K,) each; NaN without pixels.

    coarse | (N, 13, 13, K) | floating | SegNet's distribution in each cell
    cells  | (N, 13, 13, K) | integer  | number of pixels of each true class in each cell
    """
    others = cells.sum(axis=3, keepdims=True) - cells
    with np.errstate(invalid="ignore"):
        inside, outside = ((coarse * of).sum(axis=(0, 1, 2)) / of.sum(axis=(0, 1, 2)) for of in (cells, others))
    return inside, outside


FIGURES = (
    Figure("figure-3", "Figure 3: too much object from the coarse grid",
           "Largest losses of Eq. 17 to the 1-best where SegNet's argmax, and then the choice, label too much as "
           "object.", too_much_object, ("Eq. 17",), (
        Statement("upsampled naively, SegNet's coarse argmax would predict too much object (Figure 3).",
                  "it labels {objects[naive]:.1f} per cent of the pixels of val as objects, the truth "
                  "{objects[truth]:.1f}.", lambda excess: claims.verdict_of_gains(excess["naive"]), ("excess",)),
        Statement("so it picks a proposal that over-labels the object (Figure 3).",
                  "what Eq. 17 picks is {objects[Eq. 17]:.1f} per cent object. It is worse than the 1-best in "
                  "{eq17_worse} of {images} images; in {wider_worse} of those it labels more of the image as object.",
                  lambda excess: claims.verdict_of_gains(excess["Eq. 17"]), ("excess",)),
    )),
    Figure("figure-4-ranker", "Figure 4's caption: the SVM ranker helps and hurts",
           "Largest gains, then largest losses, of the SVM against Eq. 17.", helped_and_hurt, ("Eq. 17", "SVM"), (
        Statement("the SVM ranker both hurts and helps SegNet (Figure 4).",
                  "against Eq. 17 it picks a better proposal in {svm_better} images of {images}, a worse one in "
                  "{svm_worse}; the mean gain over all is {svm_mean:+.1f} points of image IoU.",
                  lambda *counts: claims.AGREES if all(counts) else claims.UNCLEAR, ("svm_better", "svm_worse")),
        Statement("some knowledge of SegNet cannot be expressed, because no proposal holds it (Figure 4, the bike).",
                  "the oracle is {oracle_mean:.1f} points of image IoU above the SVM, naive upsampling above the "
                  "oracle in {naive_better} images."),
    )),
    Figure("figure-5", "Figure 5: the smaller, better proposal chosen",
           "Largest gains of Eq. 17 over the 1-best where it chose the smaller object, not none at all.",
           smaller_object, ("Eq. 17",), (
        Statement("SegNet can reason about the size of objects, and chooses the small bird over the larger, inaccurate "
                  "blob.", "where Eq. 17 chose less object than the 1-best has, it was better in {smaller_better} "
                  "images, worse in {smaller_worse}.", claims.verdict_of_counts, ("smaller_better", "smaller_worse")),
        Statement("its choice is better than a worse one beside it (Figure 5).",
                  "over all {images} images Eq. 17 gains {eq17_mean:+.1f} points of image IoU over the 1-best: better "
                  "in {eq17_better}, the same in {eq17_same}, worse in {eq17_worse}.",
                  claims.verdict_of_gains, ("eq17_gains",)),
    )),
)  # fmt: skip
FEATURE_MAPS = (
    Statement("the final feature maps are semantic: they give probabilities of each class and can be interpreted.",
              "over val the maps of {brighter} of {objects} object classes in the truth are brighter where their class "
              "is than elsewhere (in the median class {ratio:.1f} times){dark}.",
              claims.verdict_of_fact, ("most_are",)),
    Statement("the example shows one map for each of the 21 classes.",
              "the image shown holds {own}; the brightest object maps are those of {brightest}."),
)  # fmt: skip
_TITLE = "Figure 4: the semantic feature maps of an image"
_NEEDS = (data.STAGE, coarse.STAGE, upsampled.STAGE, picked.STAGE, evaluation.STAGE)
PIECES = [Piece(figure.name, figure.title, partial(show_images, figure=figure), _NEEDS) for figure in FIGURES]
PIECES.insert(1, Piece("figure-4", _TITLE, show_feature_maps, (data.STAGE, coarse.STAGE, evaluation.STAGE)))
