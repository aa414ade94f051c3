"""Figures 3 to 5: images of val with every labelling, chosen by rule so that they show what the captions speak of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.experiment import data, networks
from tinysegrank.experiment.evidence.pieces import AGREES, APART, DIFFERS, UNCLEAR, Asked, Claim, Finding, Piece
from tinysegrank.experiment.evidence.sources import described, folder_confusions, picked_rows
from tinysegrank.experiment.runner import Run
from tinysegrank.metrics import mean_of_present
from tinysegrank.reporting import Cell, Column, PanelRow, Table
from tinysegrank.voc import BACKGROUND, read_labels

SHOWN = 4
NEEDS = ("data", "coarse", "upsampled", "described", "picked")


@dataclass(frozen=True)
class Images:
    """Measures of each image of val, by labelling: "naive", "superpixel", "1-best", "Eq. 17", "SVM", "oracle".

    iou     | each (N,) | float64 | IoU of the image, 0..1
    objects | each (N,) | float64 | share of the pixels that are not background; "truth" too
    """

    iou: dict[str, np.ndarray]
    objects: dict[str, np.ndarray]

    def gain(self, of: str, over: str) -> np.ndarray:
        """IoU of one labelling less that of another, (N,)."""
        return np.asarray(self.iou[of] - self.iou[over])


def places(run: Run) -> dict[str, str]:
    """The folder of each labelling."""
    loss = run.settings.ranking.loss
    return {
        "naive": f"upsampled/naive-{loss}",
        "superpixel": f"upsampled/superpixel-{loss}",
        "1-best": "picked/1-best",
        "Eq. 17": f"picked/segnet-{loss}",
        "SVM": "picked/svm",
        "oracle": "picked/oracle",
    }


def measure(run: Run) -> Images:
    """Measure every image of val."""
    iou, objects, held = {}, {}, described(run, "val")
    for name, place in places(run).items():
        stage, system = place.split("/")
        rows = held.confusions[picked_rows(run, system)] if stage == "picked" else folder_confusions(run, place)
        iou[name] = np.nan_to_num(mean_of_present(rows))
        objects[name] = 1 - rows[..., BACKGROUND].sum(axis=1) / np.maximum(rows.sum(axis=(1, 2)), 1)
        objects["truth"] = 1 - rows[:, BACKGROUND].sum(axis=1) / np.maximum(rows.sum(axis=(1, 2)), 1)
    return Images(iou, objects)


def figure_3(images: Images) -> np.ndarray:
    """Largest losses of Eq. 17 to the 1-best where SegNet's argmax, and then the choice, label too much as object."""
    too_much = (images.objects["naive"] > images.objects["truth"]) & (
        images.objects["Eq. 17"] > images.objects["1-best"]
    )
    return largest(images.gain("1-best", "Eq. 17"), too_much)


def figure_4_ranker(images: Images) -> np.ndarray:
    """Largest gains, then largest losses, of the SVM against Eq. 17."""
    gain = images.gain("SVM", "Eq. 17")
    half = SHOWN // 2
    return np.concatenate([largest(gain, gain > 0)[:half], largest(-gain, gain < 0)[:half]])


def figure_5(images: Images) -> np.ndarray:
    """Largest gains of Eq. 17 over the 1-best where it chose the smaller object, not none at all."""
    size = images.objects["Eq. 17"]
    return largest(images.gain("Eq. 17", "1-best"), (size > 0) & (size < images.objects["1-best"]))


def largest(gain: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The images with the largest gains above 0 among some, the best first."""
    order = np.argsort(-gain, kind="stable")
    return np.asarray(order[(gain > 0)[order] & among[order]][:SHOWN])


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
    shown, names = choose(images), data.names(asked.run, "val")
    kinds = [*places(asked.run)]
    rows: list[tuple[Cell, ...]] = [
        (
            names[i],
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
    split, coarse = data.open_split(run.settings, "val"), networks.read_coarse(run, f"val-{run.settings.ranking.loss}")
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


def over_labelled(images: Images) -> tuple[Claim, ...]:
    """Figure 3's caption, counted over val."""
    truth, naive, picked = (100 * images.objects[kind].mean() for kind in ("truth", "naive", "Eq. 17"))
    loss = images.gain("1-best", "Eq. 17")
    wider = images.objects["Eq. 17"] > images.objects["1-best"]
    return (
        Claim(
            "upsampled naively, SegNet's coarse argmax would predict too much object (Figure 3).",
            f"it labels {naive:.1f} per cent of the pixels of val as objects, the truth {truth:.1f}.",
            AGREES if naive > truth else DIFFERS,
        ),
        Claim(
            "so it picks a proposal that over-labels the object (Figure 3).",
            f"what Eq. 17 picks is {picked:.1f} per cent object. It is worse than the 1-best in {(loss > 0).sum()} of "
            f"{len(loss)} images; in {(wider & (loss > 0)).sum()} of those it labels more of the image as object.",
            AGREES if picked > truth else DIFFERS,
        ),
    )


def helped_and_hurt(images: Images) -> tuple[Claim, ...]:
    """Figure 4's caption, counted over val."""
    gain = images.gain("SVM", "Eq. 17")
    better, worse = int((gain > 0).sum()), int((gain < 0).sum())
    lead = 100 * images.gain("oracle", "SVM")
    return (
        Claim(
            "the SVM ranker both hurts and helps SegNet (Figure 4).",
            f"against Eq. 17 it picks a better proposal in {better} images of {len(gain)}, a worse one in {worse}; the "
            f"mean gain over all is {100 * gain.mean():+.1f} points of image IoU.",
            AGREES if better and worse else UNCLEAR,
        ),
        Claim(
            "some knowledge of SegNet cannot be expressed, because no proposal holds it (Figure 4, the bike).",
            f"the oracle is {lead.mean():.1f} points of image IoU above the SVM, naive upsampling above the oracle in "
            f"{(images.gain('naive', 'oracle') > 0).sum()} images.",
            APART,
        ),
    )


def smaller_chosen(images: Images) -> tuple[Claim, ...]:
    """Figure 5's caption, counted over val."""
    gain = images.gain("Eq. 17", "1-best")
    smaller = images.objects["Eq. 17"] < images.objects["1-best"]
    right, wrong = int((smaller & (gain > 0)).sum()), int((smaller & (gain < 0)).sum())
    return (
        Claim(
            "SegNet can reason about the size of objects, and chooses the small bird over the larger, inaccurate blob.",
            f"where Eq. 17 chose less object than the 1-best has, it was better in {right} images, worse in {wrong}.",
            AGREES if right > wrong else DIFFERS if right < wrong else UNCLEAR,
        ),
        Claim(
            "its choice is better than a worse one beside it (Figure 5).",
            f"over all {len(gain)} images Eq. 17 gains {100 * gain.mean():+.1f} points of image IoU over the 1-best: "
            f"better in {(gain > 0).sum()}, the same in {(gain == 0).sum()}, worse in {(gain < 0).sum()}.",
            AGREES if gain.mean() > 0 else DIFFERS,
        ),
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
