"""What raises the score: options tried from one finished run, to be chosen by what they score on training images.

    python tests/benchmarks/options.py runs/voc --out runs/options --options base mirrored "both engines"

Each option is a copy of the run (files are linked, not copied) brought up to date under its changed settings, so only
what depends on them is done. "Held out" is the corpus IoU, mean over the run's classes, of what the ranker picks on
training images held out of it (5-fold, with features from networks that did not see them): the figure to choose by.
Val stands beside it and is not to be chosen by. Options that are there already are kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tinysegrank.experiment import Run, Settings, Shown, Silent, run_experiment
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.files import read_json, write_json, write_text
from tinysegrank.inputs import SETTINGS_FILE
from tinysegrank.metrics import Confusion
from tinysegrank.reporting import Column, Table

Change = Callable[[Settings], Settings]
RESULT = "option.json"


def ranking(**changes: object) -> Change:
    return lambda settings: replace(settings, ranking=replace(settings.ranking, **changes))


def proposals(**changes: object) -> Change:
    return lambda settings: replace(settings, proposals=replace(settings.proposals, **changes))


def mirrored(settings: Settings) -> Settings:
    return replace(settings, coarse=replace(settings.coarse, mirrored=True))


def corpus_counts(settings: Settings) -> Settings:
    training = settings.training
    return replace(settings, training=replace(training, uoi_ce=replace(training.uoi_ce, counts="corpus")))


OPTIONS: dict[str, Change] = {
    "base": lambda settings: settings,
    "all-pairs": ranking(ranker="all-pairs"),
    "mirrored": mirrored,
    "60 proposals": proposals(count=60),
    "both engines": proposals(engine="both"),
    "corpus counts": corpus_counts,
    "loss ce": ranking(loss="ce"),
    "60 proposals, both engines": proposals(count=60, engine="both"),
}


def mean_iou(matrix: Confusion, classes: tuple[int, ...] | None) -> float:
    return 100 * matrix.mean_iou(classes=classes).value


def linked(run: Path, copy: Path) -> Path:
    """Copy a run, its files linked: the stages put new files in the place of old ones and never write into them."""
    if not copy.exists():
        shutil.copytree(run, copy, copy_function=os.link, ignore=shutil.ignore_patterns("evidence", "*.html", RESULT))
        text = (copy / SETTINGS_FILE).read_text()
        (copy / SETTINGS_FILE).unlink()
        write_text(copy / SETTINGS_FILE, text)
    return copy


def examine(run: Run) -> dict[str, float]:
    """The figures of a finished run."""
    counts, classes = read_counts(run), run.settings.report.classes or None
    held_out = max(read_json(run.folder("ranker") / "chosen.json")["tried"].values())
    systems = {"SVM": "svm", "Eq. 17": f"segnet-{run.settings.ranking.loss}", "oracle": "oracle"}
    found = {"held out": 100 * held_out}
    for name, system in systems.items():
        found[name] = mean_iou(counts[f"picked/{system}"], classes)
    return found | {"SVM, present": mean_iou(counts["picked/svm"], None)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--options", nargs="+", choices=list(OPTIONS), default=list(OPTIONS))
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    settings = read_run(asked.run, jobs=1, progress=Silent()).settings
    from tinysegrank.cli.show import console

    for name in asked.options:
        folder = asked.out / name.replace(", ", "-").replace(" ", "-")
        if not (folder / RESULT).is_file():
            started = time.perf_counter()
            copy, changed, progress = linked(asked.run, folder), OPTIONS[name](settings), Shown(console)
            run = run_experiment(copy, changed, jobs=asked.jobs, progress=progress, update=True, until="evaluation")
            found = examine(run)
            write_json(folder / RESULT, {"option": name, **found, "seconds": time.perf_counter() - started})
        write_table(asked.out)


def write_table(out: Path) -> None:
    """One row for each option that is there, best on held-out training images first."""
    found = sorted((read_json(path) for path in out.glob(f"*/{RESULT}")), key=lambda one: -one["held out"])
    numbers = ("held out", "SVM", "SVM, present", "Eq. 17", "oracle", "seconds")
    columns = (Column("option"), *(Column(name) for name in numbers))
    rows = tuple((one["option"], *(one.get(name) for name in numbers)) for one in found)
    table = Table("Corpus IoU, per cent: held-out training images, then val", columns, rows)
    write_text(out / "options.md", table.to_markdown())
    write_text(out / "options.csv", table.to_csv())
    print(table.to_markdown())


if __name__ == "__main__":
    main()
