"""The run's tables and figures: the paper's Table 2 and Table 1 beside ours, and which of its orderings hold here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.experiment.images import IMAGES, ImageOfRun, images_of
from tinysegrank.experiment.runner import Run, Stage
from tinysegrank.experiment.stages import picked
from tinysegrank.experiment.stages.coarse import NETWORKS, read_coarse
from tinysegrank.experiment.stages.evaluation import NAMED, folder_of, read_counts
from tinysegrank.experiment.stages.training import START, Training, read_log
from tinysegrank.files import write_json, write_text
from tinysegrank.metrics import Confusion
from tinysegrank.voc import read_labels

TABLE_2 = tuple(name for name in NAMED if name != "Eq. 17")  # usually one of the others, named by its loss
ORDERINGS = (  # the paper's claims: (better, worse)
    ("superpixel upsampling", "naive upsampling"),
    ("SegNet-CE", "superpixel upsampling"),
    ("SegNet-UOI", "SegNet-CE"),
    ("SegNet-UOI-CE", "SegNet-UOI"),
    ("SegNet+SVM", "SegNet-UOI-CE"),
    ("SegNet+SVM", "1-best"),
    ("oracle", "SegNet+SVM"),
)
_PANELS = {"superpixel": "superpixel upsampling", "1-best": "1-best", "chosen": "SegNet+SVM", "oracle": "oracle"}
_NAIVE_NAMES = {START: "CE, the start", "ce": "CE, then CE", "uoi": "CE, then UOI", "iou": "CE, then IOU"}
_NAIVE_NAMES["uoi+ce"] = "CE, then 0.7 UOI + 0.3 CE"


def make(run: Run) -> None:
    """Write each of `tables` as .md and .csv, orderings.md, seconds.json with the stages' times, and the figures."""
    folder, counts = run.folder(STAGE.name), read_counts(run)
    for name, table in tables(run, counts).items():
        write_text(folder / f"{name}.md", table.to_markdown())
        write_text(folder / f"{name}.csv", table.to_csv())
    write_text(folder / "orderings.md", "\n".join(orderings(run, counts)) + "\n")
    stamps = sorted(path.parent.name for path in run.path.glob("*/stamp.json") if path.parent.name != STAGE.name)
    write_json(folder / "seconds.json", {name: run.stamp(name).seconds for name in stamps})
    _draw(run, folder)


def tables(run: Run, counts: dict[str, Confusion]) -> dict[str, reporting.Table]:
    """Return the tables by file name: Table 2, IoU per class beside Table 1, and upsampling and Eq. 17 by loss.

    `counts` are confusion matrices by the system's folder, as from `read_counts`.
    """
    common, classes = run.settings.report.classes, run.settings.classes
    per_class = partial(reporting.per_class_table, common=common, classes=classes)
    systems = {name: counts[folder_of(run.settings, name)] for name in TABLE_2}

    def by_loss(system: str) -> dict[str, Confusion]:
        return {_NAIVE_NAMES[loss]: counts[f"{system}-{loss}"] for loss in NETWORKS}

    return {
        "table_2": reporting.methods_table(systems, title="Table 2: mean IoU on val", common=common, classes=classes),
        "per_class": per_class(systems, title="IoU of each class", paper=("SegNets",)),
        "naive": per_class(by_loss("upsampled/naive"), title="Naive upsampling, by training loss"),
        "superpixel": per_class(by_loss("upsampled/superpixel"), title="Superpixel upsampling, by loss"),
        "eq17": per_class(by_loss("picked/segnet"), title="Proposals chosen by Eq. 17, by training loss"),
    }


def orderings(
    run: Run, counts: dict[str, Confusion], verdicts: Mapping[tuple[str, str], str] | None = None
) -> list[str]:
    """Return a line of text for each ordering of the paper, with both means of this run in per cent, and a verdict.

    `counts` are as for `tables`. Where `verdicts` has none for the pair (better, worse), the line says how the means
    compare, chance aside.
    """
    classes = run.settings.report.classes or None
    means = {name: 100 * counts[folder_of(run.settings, name)].mean_iou(classes=classes).value for name in TABLE_2}
    lines = []
    for better, worse in ORDERINGS:
        high, low = (round(means[name], 3) for name in (better, worse))
        digits = next((n for n in (1, 2) if f"{high:.{n}f}" != f"{low:.{n}f}"), 1 if high == low else 3)
        compared = "higher here" if high > low else "lower here" if high < low else "not ordered here"
        verdict = (verdicts or {}).get((better, worse), compared)
        lines.append(f"- {better} ({high:.{digits}f}) over {worse} ({low:.{digits}f}): {verdict}")
    return lines


def _draw(run: Run, folder: Path) -> None:
    logs = {loss: read_log(run, Training(-1, loss)) for loss in NETWORKS}
    cross_entropy = {_NAIVE_NAMES[loss]: logs[loss] for loss in (START, "ce")}
    reporting.loss_curves(folder / "loss_ce.png", cross_entropy, title="Cross-entropy")
    for loss in ("uoi", "iou", "uoi+ce"):
        reporting.loss_curves(folder / f"loss_{loss.replace('+', '_')}.png", {_NAIVE_NAMES[loss]: logs[loss]})
    curve = picked.read_oracle_curve(run)
    numbers = np.arange(1, len(curve["corpus_mean_iou"]) + 1)
    lines = {"corpus IoU of the picks": curve["corpus_mean_iou"], "mean image IoU": curve["mean_image_iou"]}
    oracle = {name: reporting.Curve(numbers, 100 * np.array(values)) for name, values in lines.items()}
    reporting.plots(folder / "oracle.png", [reporting.Plot(oracle, "proposals", "per cent", "Oracle")])
    images = images_of(run, "val")
    if count := min(run.settings.report.panels, len(images)):  # as in Figures 3 and 5 of the paper
        panels = [panel_row(images[i], _PANELS) for i in np.linspace(0, len(images) - 1, count).astype(int)]
        reporting.qualitative_panels(folder / "panels.png", panels, classes=run.settings.classes)


def panel_row(image: ImageOfRun, systems: Mapping[str, str]) -> reporting.PanelRow:
    """Return an image of val with its labels: the truth, SegNet's argmax, and those by `systems`.

    `systems` gives, for each heading, the name of a system in NAMED.
    """
    run = image.run
    coarse = read_coarse(run, f"val-{run.settings.ranking.loss}")[image.number]
    labels = {"truth": image.labels(), "coarse argmax": coarse.argmax(axis=2)}
    for heading, system in systems.items():
        path = run.path_of(f"{folder_of(run.settings, system)}/{image.name}.png")
        labels[heading] = read_labels(path, run.settings.classes)
    return reporting.PanelRow(image.name, image.image(), labels)


STAGE = Stage(
    "report",
    make,
    (IMAGES[1], "coarse", "training", "upsampled", "picked", "evaluation"),
    lambda s: [s.report, s.ranking.loss],
)
