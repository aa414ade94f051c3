"""How good proposals are: 1-best and oracle on val at several M, for both engines, with and without DivMBest.

    python tests/benchmarks/proposal_curves.py runs/voc --out runs/curves

takes a run whose stage "proposing" was done with --set proposals.engine=both (or with one of them; then say which by
--engines). Constants are those that the run chose on training images; the scale of perturb-and-MAP is chosen likewise,
on the same held-out training images, by the oracle among 10. Prints a table, and writes it with a plot.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import Silent
from tinysegrank.experiment import images as run_data
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import ImageOfRun, images_of, model_path
from tinysegrank.experiment.photograph import PhotographOfRun
from tinysegrank.experiment.proposers.crf import CrfProposer
from tinysegrank.experiment.proposers.paste import PasteProposer
from tinysegrank.experiment.proposers.protocol import FOLDER
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.files import write_text
from tinysegrank.metrics import Confusion, image_confusions, mean_of_present
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import Proposal, divmbest, interleave
from tinysegrank.reporting import Column, Curve, Plot, Table, plots

sys.path.append(str(Path(__file__).parents[2] / "tutorials"))
from baselines import best_labellings, best_pastings, perturb_and_map

COUNTS = (1, 5, 10, 20, 30)
ENGINES = {"paste": (PasteProposer(), best_pastings), "crf": (CrfProposer(), best_labellings)}
SCALES = {"paste": (0.01, 0.02, 0.04, 0.08), "crf": (0.4, 0.8, 1.6, 3.2)}


class Task(NamedTuple):
    image: ImageOfRun
    fold: int  # left out by the models
    engines: tuple[str, ...]
    count: int
    scales: dict[str, tuple[float, ...]]
    perturbed_only: bool


class Answer(NamedTuple):
    picked: dict[str, np.ndarray]
    seconds: dict[str, float]


def oracle_confusions(truth: np.ndarray, proposals: list[Proposal]) -> np.ndarray:
    """Return the confusion matrix (C, K, K) of the best by image IoU among the first m, for each m of COUNTS."""
    confusions = image_confusions(truth, np.stack([one.labels for one in proposals]), num_classes=21)  # (M, K, K)
    quality = np.nan_to_num(mean_of_present(confusions))  # (M,)
    return confusions[[int(np.argmax(quality[:m])) for m in COUNTS]]


def mean_ious(picked: np.ndarray, classes: list[int] | None = None) -> np.ndarray:
    """Return the mean corpus IoU in per cent for each m of COUNTS, of confusions (N, C, K, K)."""
    return 100 * np.array([Confusion.of(matrix).mean_iou(classes=classes).value for matrix in picked.sum(axis=0)])


def examine(task: Task) -> Answer:
    """Propose for one image in every way, and keep the confusions of the oracle of each."""
    labels = task.image.labels()
    picked, seconds, first = {}, {}, {}
    run = task.image.run
    for name in task.engines:
        proposer, best = ENGINES[name]
        started = time.perf_counter()
        chosen = proposer.chosen(run)
        model = load_once(proposer.kind.load, model_path(run.folder(FOLDER) / name, task.fold))
        (engine,) = proposer.engines(PhotographOfRun(task.image), model, [chosen])
        seconds[f"{name}: scores"] = time.perf_counter() - started
        ways = {
            f"{name}, perturbed by {scale:g}": functools.partial(
                perturb_and_map, engine, scale, task.count, np.random.default_rng([9, task.image.number])
            )
            for scale in task.scales[name]
        }
        if not task.perturbed_only:
            ways[f"{name}, DivMBest"] = functools.partial(divmbest, engine, chosen.lam, task.count)
            ways[f"{name}, best M"] = functools.partial(best, engine, task.count)
        for way, function in ways.items():
            started = time.perf_counter()
            found = function()
            seconds[way] = time.perf_counter() - started
            picked[way] = oracle_confusions(labels, found)
            first[way] = found
    if not task.perturbed_only and len(task.engines) == 2:
        both = interleave(first["paste, DivMBest"], first["crf, DivMBest"], count=task.count)
        picked["both, DivMBest in turn"] = oracle_confusions(labels, both)
    return Answer(picked, seconds)


def run_tasks(tasks: list[Task], jobs: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Confusions of all images' picks (N, C, K, K), and mean seconds an image."""
    every: dict[str, list[np.ndarray]] = {}
    seconds: dict[str, float] = {}
    for answer in parallel_map(examine, tasks, jobs=jobs):
        for way, confusions in answer.picked.items():
            every.setdefault(way, []).append(confusions)
        for way, spent in answer.seconds.items():
            seconds[way] = seconds.get(way, 0.0) + spent / len(tasks)
    return {way: np.stack(confusions) for way, confusions in every.items()}, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--choice-images", type=int, default=60)
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    run = read_run(asked.run, jobs=asked.jobs, progress=Silent())

    def tasks(which: str, indices: list[int], fold: int, count: int, scales: dict, perturbed_only: bool) -> list[Task]:
        engines = tuple(asked.engines)
        return [Task(image, fold, engines, count, scales, perturbed_only) for image in images_of(run, which, indices)]

    held_out = np.flatnonzero(run_data.folds(run) == 0)
    some = held_out[np.linspace(0, len(held_out) - 1, min(asked.choice_images, len(held_out))).astype(int)]
    tried, _ = run_tasks(tasks("train", [int(i) for i in some], 0, 10, SCALES, True), asked.jobs)
    at_10 = {way: np.nanmean(mean_of_present(picked[:, COUNTS.index(10)])) for way, picked in tried.items()}
    chosen = {
        name: (max(scales, key=lambda scale, name=name: at_10[f"{name}, perturbed by {scale:g}"]),)
        for name, scales in SCALES.items()
        if name in asked.engines
    }
    everything = list(range(len(run_data.names(run, "val"))))
    total, seconds = run_tasks(tasks("val", everything, -1, asked.count, chosen, False), asked.jobs)

    classes = list(run.settings.report.classes) or None
    listed = f"{len(classes)} classes" if classes else "classes present"
    columns = (
        Column("way"),
        *(Column(f"M={m}, {listed}") for m in COUNTS),
        *(Column(f"M={m}, present") for m in COUNTS),
        Column("seconds an image", ".3f"),
    )
    rows = []
    for way, picked in total.items():
        rows.append((way, *map(float, (*mean_ious(picked, classes), *mean_ious(picked))), seconds.get(way)))
    table = Table(
        "Corpus IoU, per cent, of the oracle among the first M on val; M=1 is the 1-best", columns, tuple(rows)
    )
    write_text(asked.out / "proposal_curves.md", table.to_markdown())
    write_text(asked.out / "proposal_curves.csv", table.to_csv())
    write_text(asked.out / "seconds.txt", "\n".join(f"{way}: {spent:.3f}" for way, spent in seconds.items()) + "\n")
    lines = {way: Curve(np.array(COUNTS), mean_ious(picked, classes)) for way, picked in total.items()}
    plots(asked.out / "proposal_curves.png", [Plot(lines, "proposals M", "corpus IoU of the oracle, per cent")])
    print(table.to_markdown())


if __name__ == "__main__":
    main()
