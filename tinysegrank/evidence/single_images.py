"""Figures 3 to 5: images of val, chosen by rule to show what the captions say, and counts over all of val."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence import claims
from tinysegrank.evidence.claims import Statement
from tinysegrank.evidence.measures import background_pixels, system_confusions
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.images import names, open_split
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.coarse import read_coarse
from tinysegrank.experiment.stages.evaluation import folder_of
from tinysegrank.metrics import mean_of_present
from tinysegrank.reporting import Column, PanelRow, Table
from tinysegrank.voc import read_labels

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
    """Measurements of each image of val, by the headings of SYSTEMS.

    iou     | each (N,) | float64 | IoU of the image, 0..1
    objects | each (N,) | float64 | share of the image that is not background; also for "truth"
    """

    iou: dict[str, np.ndarray]
    objects: dict[str, np.ndarray]

    def gain(self, of: str, over: str) -> np.ndarray:
        """Return the IoU of one labelling minus that of another, (N,)."""
        return np.asarray(self.iou[of] - self.iou[over])


class Figure(NamedTuple):
    """A figure of single images: its name and title, the rule that chooses its images, and the caption's claims."""

    name: str
    title: str
    rule: str
    choose: Callable[[Images], np.ndarray]
    chosen: tuple[str, ...]  # headings of the systems whose choice is shown
    statements: tuple[Statement, ...]


def measure(run: Run) -> Images:
    """Measure every image of val."""
    iou, objects = {}, {}
    confusions = system_confusions(run, SYSTEMS.values())
    for heading, system in SYSTEMS.items():
        labelled, true, pixels = background_pixels(confusions[system])
        iou[heading] = np.nan_to_num(mean_of_present(confusions[system]))
        objects[heading] = 1 - labelled / np.maximum(pixels, 1)
        objects["truth"] = 1 - true / np.maximum(pixels, 1)
    return Images(iou, objects)


def _largest(gain: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the numbers of the images with the largest gains above 0 among the given ones, best first."""
    order = np.argsort(-gain, kind="stable")
    return np.asarray(order[(gain > 0)[order] & among[order]][:_SHOWN])


def too_much_object(images: Images) -> np.ndarray:
    """Choose the images of Figure 3: naive upsampling labels too much object, and Eq. 17 picks more than the 1-best."""
    objects = images.objects
    among = (objects["naive"] > objects["truth"]) & (objects["Eq. 17"] > objects["1-best"])
    return _largest(images.gain("1-best", "Eq. 17"), among)


def helped_and_hurt(images: Images) -> np.ndarray:
    """Choose the images of Figure 4: those where the ranker gains most over Eq. 17, and those where it loses most."""
    gain = images.gain("SVM", "Eq. 17")
    return np.concatenate([_largest(sign * gain, sign * gain > 0)[: _SHOWN // 2] for sign in (1, -1)])


def smaller_object(images: Images) -> np.ndarray:
    """Choose the images of Figure 5: Eq. 17 gains over the 1-best proposal by picking a smaller object."""
    size = images.objects["Eq. 17"]
    return _largest(images.gain("Eq. 17", "1-best"), (size > 0) & (size < images.objects["1-best"]))


def _counts(images: Images) -> dict[str, Any]:
    """Count how many images of val show what the captions say of single images."""
    objects = images.objects
    found: dict[str, Any] = {"images": len(images.iou["naive"])}
    pairs = {"eq17": ("Eq. 17", "1-best"), "svm": ("SVM", "Eq. 17"), "oracle": ("oracle", "SVM")}
    for name, pair in pairs.items():
        gain = images.gain(*pair)
        found |= {f"{name}_better": int((gain > 0).sum()), f"{name}_worse": int((gain < 0).sum())}
        found |= {f"{name}_same": int((gain == 0).sum()), f"{name}_gains": gain, f"{name}_mean": 100 * gain.mean()}
    gain, size = found["eq17_gains"], objects["Eq. 17"] - objects["1-best"]
    return found | {
        "objects": {heading: 100 * share.mean() for heading, share in objects.items()},
        "naive_excess": objects["naive"] - objects["truth"],
        "eq17_excess": objects["Eq. 17"] - objects["truth"],
        "wider_worse": int(((size > 0) & (gain < 0)).sum()),
        "smaller_better": int(((size < 0) & (gain > 0)).sum()),
        "smaller_worse": int(((size < 0) & (gain < 0)).sum()),
        "naive_above_oracle": int((images.gain("naive", "oracle") > 0).sum()),
    }


def show_images(request: Request, *, figure: Figure) -> Finding:
    """Choose images by the rule of a figure, measure them, and draw them."""
    run, images = request.run, measure(request.run)
    shown, names_of_val = figure.choose(images), names(request.run, "val")
    sizes = ("truth", "naive", "1-best", *figure.chosen)
    rows = tuple(
        (
            names_of_val[i],
            *(float(100 * images.iou[heading][i]) for heading in SYSTEMS),
            *(float(100 * images.objects[heading][i]) for heading in sizes),
        )
        for i in shown
    )
    columns = ("image", *(f"IoU, {heading}" for heading in SYSTEMS), *(f"object, {heading}" for heading in sizes))
    note = f"{figure.rule} IoU of the image, and share of its pixels labelled as objects, in per cent."
    table = Table(figure.title, tuple(map(Column, columns)), rows, note)
    draw = partial(_draw, run=run, images=images, shown=shown, chosen=figure.chosen)
    return Finding(claims.check_claims(figure.statements, _counts(images)), table, draw)


def _draw(path: Path, *, run: Run, images: Images, shown: np.ndarray, chosen: tuple[str, ...]) -> None:
    """Draw one row per image: truth, coarse argmax, superpixels, the 1-best proposal, what was chosen, the oracle."""
    split, coarse = open_split(run.settings, "val"), read_coarse(run, f"val-{run.settings.ranking.loss}")
    rows = []
    for i in shown:
        labels = {"truth": split.labels(i), "coarse argmax": coarse[i].argmax(axis=2)}
        captions = {"coarse argmax": f"IoU {100 * images.iou['naive'][i]:.0f}"}
        for kind in ("superpixel", "1-best", *chosen, "oracle"):
            heading = f"chosen ({kind})" if kind in chosen else kind
            folder = folder_of(run.settings, SYSTEMS[kind])
            labels[heading] = read_labels(run.path_of(f"{folder}/{split.names[i]}.png"))
            captions[heading] = f"IoU {100 * images.iou[kind][i]:.0f}"
        rows.append(PanelRow(split.names[i], split.image(i), labels, captions))
    grey = np.full((40, 160, 3), 225, np.uint8)
    nothing = PanelRow("no image of val is of the kind that the caption speaks of", grey, {})
    reporting.qualitative_panels(path, rows or [nothing])


FIGURES = (
    Figure("figure-3", "Figure 3: too much object from the coarse grid",
           "Largest losses of Eq. 17 to the 1-best where SegNet's argmax, and then the choice, label too much as "
           "object.", too_much_object, ("Eq. 17",), (
        Statement("upsampled naively, SegNet's coarse argmax would predict too much object (Figure 3).",
                  "it labels {objects[naive]:.1f} per cent of the pixels of val as objects, the truth "
                  "{objects[truth]:.1f}.", claims.verdict_of_gains, ("naive_excess",)),
        Statement("so it picks a proposal that over-labels the object (Figure 3).",
                  "what Eq. 17 picks is {objects[Eq. 17]:.1f} per cent object. It is worse than the 1-best in "
                  "{eq17_worse} of {images} images; in {wider_worse} of those it labels more of the image as object.",
                  claims.verdict_of_gains, ("eq17_excess",)),
    )),
    Figure("figure-4-ranker", "Figure 4's caption: the SVM ranker helps and hurts",
           "Largest gains, then largest losses, of the SVM against Eq. 17.", helped_and_hurt, ("Eq. 17", "SVM"), (
        Statement("the SVM ranker both hurts and helps SegNet (Figure 4).",
                  "against Eq. 17 it picks a better proposal in {svm_better} images of {images}, a worse one in "
                  "{svm_worse}; the mean gain over all is {svm_mean:+.1f} points of image IoU.",
                  lambda better, worse: claims.verdict(1, clear=bool(better and worse)), ("svm_better", "svm_worse")),
        Statement("some knowledge of SegNet cannot be expressed, because no proposal holds it (Figure 4, the bike).",
                  "the oracle is {oracle_mean:.1f} points of image IoU above the SVM, naive upsampling above the "
                  "oracle in {naive_above_oracle} images.", claims.not_compared),
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
_NEEDS = ("data", "coarse", "upsampled", "picked", "evaluation")
PIECES = tuple(Piece(figure.name, figure.title, partial(show_images, figure=figure), _NEEDS) for figure in FIGURES)
