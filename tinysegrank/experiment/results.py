"""The run's tables and pictures: the paper's Table 2 and Table 1 beside ours, and which of its orderings hold here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinysegrank import reporting
from tinysegrank.experiment import data, networks, upsampled
from tinysegrank.experiment.evaluation import evaluate_folder
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import LOSSES
from tinysegrank.files import read_arrays, read_json, write_arrays, write_json, write_text
from tinysegrank.metrics import Confusion
from tinysegrank.voc import read_labels

TABLE_2 = {  # the paper's name -> folder under the run
    "naive upsampling": "upsampled/naive-{loss}",
    "superpixel upsampling": "upsampled/superpixel-{loss}",
    "SegNet-CE": "picked/segnet-ce",
    "SegNet-UOI": "picked/segnet-uoi",
    "SegNet-UOI-CE": "picked/segnet-uoi+ce",
    "SegNet+SVM": "picked/svm",
    "1-best": "picked/1-best",
    "oracle": "picked/oracle",
}
ORDERINGS = (  # the paper's claims: (better, worse)
    ("superpixel upsampling", "naive upsampling"),
    ("SegNet-CE", "superpixel upsampling"),
    ("SegNet-UOI", "SegNet-CE"),
    ("SegNet-UOI-CE", "SegNet-UOI"),
    ("SegNet+SVM", "SegNet-UOI-CE"),
    ("SegNet+SVM", "1-best"),
    ("oracle", "SegNet+SVM"),
)
_COUNTS = "confusions.safetensors"
_NAIVE_NAMES = {networks.START: "CE, the start", "ce": "CE, then CE", "uoi": "CE, then UOI", "iou": "CE, then IOU"}
_NAIVE_NAMES["uoi+ce"] = "CE, then 0.7 UOI + 0.3 CE"


def evaluate(run: Run) -> None:
    """Count the confusions of every system on val."""
    split, counts = data.open_split(run.settings, "val"), {}
    folders = [path for stage in (upsampled.FOLDER, "picked") for path in run.folder(stage).iterdir() if path.is_dir()]
    with run.progress.count("systems", len(folders)) as advance:
        for folder in sorted(folders):
            counts[f"{folder.parent.name}/{folder.name}"] = evaluate_folder(folder, split, jobs=run.jobs).matrix
            advance(1)
    write_arrays(run.folder("evaluation") / _COUNTS, counts)


def read_counts(run: Run) -> dict[str, Confusion]:
    """The confusions that `evaluate` wrote, by "upsampled/..." and "picked/..."."""
    confusions = {}
    for name, matrix in read_arrays(run.folder("evaluation") / _COUNTS).items():
        confusions[name] = Confusion()
        confusions[name].matrix += matrix
    return confusions


def report(run: Run) -> None:
    """Write table_2, per_class, naive (each .md and .csv), orderings.md, and the figures."""
    folder, counts = run.folder("report"), read_counts(run)
    for name, table in tables(run, counts).items():
        write_text(folder / f"{name}.md", table.to_markdown())
        write_text(folder / f"{name}.csv", table.to_csv())
    write_text(folder / "orderings.md", "\n".join(orderings(run, counts)) + "\n")
    seconds = {stage: run.stamp(stage).get("seconds") for stage in _timed_stages(run)}
    write_json(folder / "seconds.json", seconds)
    _draw(run, folder)


def tables(run: Run, counts: dict[str, Confusion]) -> dict[str, reporting.Table]:
    """Table 2; the classes of its systems and of the paper's Table 1; naive upsampling of every loss."""
    common, loss = run.settings.report.classes, run.settings.ranking.loss
    systems = {name: counts[place.format(loss=loss)] for name, place in TABLE_2.items()}
    naive = {_NAIVE_NAMES[name]: counts[f"upsampled/naive-{name}"] for name in (networks.START, *LOSSES)}
    superpixel = {_NAIVE_NAMES[name]: counts[f"upsampled/superpixel-{name}"] for name in (networks.START, *LOSSES)}
    chosen = {name: counts[f"picked/segnet-{name}"] for name in (networks.START, *LOSSES)}
    return {
        "table_2": reporting.methods_table(systems, title="Table 2: mean IoU on val", common=common),
        "per_class": reporting.per_class_table(systems, title="IoU of each class", common=common, paper=("SegNets",)),
        "naive": reporting.per_class_table(naive, title="Naive upsampling, by training loss", common=common),
        "superpixel": reporting.per_class_table(superpixel, title="Superpixel upsampling, by loss", common=common),
        "eq17": reporting.per_class_table(
            {_NAIVE_NAMES[name]: confusion for name, confusion in chosen.items()},
            title="Proposals chosen by Eq. 17, by training loss",
            common=common,
        ),
    }


def ordered_means(run: Run, counts: dict[str, Confusion]) -> list[tuple[tuple[str, float], tuple[str, float]]]:
    """Return each ordering of the paper with this run's means: (better, per cent), (worse, per cent)."""
    classes, loss = run.settings.report.classes or None, run.settings.ranking.loss
    means = {
        name: 100 * counts[place.format(loss=loss)].mean_iou(classes=classes).value for name, place in TABLE_2.items()
    }
    return [((better, means[better]), (worse, means[worse])) for better, worse in ORDERINGS]


def orderings(run: Run, counts: dict[str, Confusion]) -> list[str]:
    """Return one line per ordering of the paper: both means, and whether it holds in this run."""
    return [
        f"- {better} ({high:.1f}) over {worse} ({low:.1f}): {'holds' if high > low else 'does not hold'}"
        for (better, high), (worse, low) in ordered_means(run, counts)
    ]


def _timed_stages(run: Run) -> list[str]:
    return sorted(path.parent.name for path in run.path.glob("*/stamp.json") if path.parent.name != "report")


def _draw(run: Run, folder: Path) -> None:
    logs = {}
    for loss in (networks.START, *LOSSES):
        path = run.folder("training") / networks.Training(-1, loss).name / "log.csv"
        steps, values = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2).T
        logs[loss] = (steps, values)
    cross_entropy = {_NAIVE_NAMES[loss]: logs[loss] for loss in (networks.START, "ce")}
    reporting.loss_curves(folder / "loss_ce.png", cross_entropy, title="Cross-entropy")
    for loss in ("uoi", "iou", "uoi+ce"):
        reporting.loss_curves(folder / f"loss_{loss.replace('+', '_')}.png", {_NAIVE_NAMES[loss]: logs[loss]})
    curve = read_json(run.folder("picked") / "oracle_curve.json")
    numbers = np.arange(1, len(curve["corpus_mean_iou"]) + 1)
    reporting.curves(
        folder / "oracle.png",
        {
            "corpus IoU of the picks": (numbers, 100 * np.array(curve["corpus_mean_iou"])),
            "mean image IoU": (numbers, 100 * np.array(curve["mean_image_iou"])),
        },
        x_label="proposals",
        y_label="per cent",
        title="Oracle",
    )
    if run.settings.report.panels:
        reporting.qualitative_panels(folder / "panels.png", panel_rows(run))


def panel_rows(run: Run) -> list[reporting.PanelRow]:
    """Evenly spread images of val with every labelling, as Figures 3 and 5 of the paper."""
    split, loss = data.open_split(run.settings, "val"), run.settings.ranking.loss
    coarse = networks.read_coarse(run, f"val-{loss}")
    count = min(run.settings.report.panels, len(split))
    rows = []
    for i in np.linspace(0, len(split) - 1, count).astype(int):
        name = split.names[i]
        labels = {"truth": split.labels(i), "coarse argmax": coarse[i].argmax(axis=2)}
        for heading, place in (
            ("superpixel", f"upsampled/superpixel-{loss}"),
            ("1-best", "picked/1-best"),
            ("chosen", "picked/svm"),
            ("oracle", "picked/oracle"),
        ):
            labels[heading] = read_labels(run.path / place / f"{name}.png")
        rows.append(reporting.PanelRow(name, split.image(i), labels))
    return rows
