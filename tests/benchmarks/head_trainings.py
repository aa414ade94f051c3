"""Trainings of SegNet's head on the features of a finished run: seeds, losses, counts and minimum masses compared.

    python tests/benchmarks/head_trainings.py runs/voc --out runs/heads --seeds 0,1,2
    python tests/benchmarks/head_trainings.py runs/voc --out runs/heads --seeds 0 \
        --variants uoi:batch:0.5 uoi:running:0.5 uoi:corpus:0.5

Each variant continues from the same cross-entropy start of its seed. Prints and writes, as CSV, the corpus IoU of naive
upsampling on val. Trainings that are there already are kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.errors import TrainingError
from tinysegrank.experiment import Run, Settings, Silent
from tinysegrank.experiment.images import open_split
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages.features import read_scale, store
from tinysegrank.experiment.stages.trunk import NETWORK
from tinysegrank.files import read_json, write_json, write_text
from tinysegrank.metrics import Confusion
from tinysegrank.parallel import one_blas_thread, parallel_map
from tinysegrank.reporting import Column, Table
from tinysegrank.segnet import SegNet, load_segnet, predict_store, save_segnet, train
from tinysegrank.upsampling import naive
from tinysegrank.voc import CLASS_NAMES


class Variant(NamedTuple):
    """A continuation: loss:counts:min_mass[:rate], or "start" for cross-entropy from nothing."""

    text: str

    def options(self, settings: Settings):
        if self.text == "start":
            return settings.training.start
        loss, counts, min_mass, *rate = self.text.split(":")
        options = replace(settings.training.of(loss), counts=counts, min_mass=float(min_mass))
        return replace(options, rate=float(rate[0])) if rate else options


class Task(NamedTuple):
    run: Run
    out: Path
    seed: int
    variant: Variant

    @property
    def folder(self) -> Path:
        return self.out / f"seed-{self.seed}" / self.variant.text.replace(":", "-")


def perform(task: Task) -> dict[str, object]:
    """Train and evaluate one variant, unless its result is there."""
    result = task.folder / "result.json"
    if result.is_file():
        return read_json(result)
    settings = task.run.settings
    if task.variant.text == "start":
        model = SegNet(preset=settings.trunk.preset, rng=np.random.default_rng([task.seed, 10]))
        model.feature_scale = read_scale(task.run)
    else:
        model = load_segnet(task._replace(variant=Variant("start")).folder / NETWORK)
    features = store(task.run, "train")
    started, outcome = time.perf_counter(), "trained"
    try:
        log = train(
            model,
            features,
            np.arange(features.images),
            task.variant.options(settings),
            seed=1000 * task.seed + 7,
            checkpoint=task.folder / "checkpoint.safetensors",
        )
    except TrainingError as error:
        log, outcome = [], str(error)
    save_segnet(task.folder / NETWORK, model)
    record = {
        "outcome": outcome,
        "seconds": round(time.perf_counter() - started, 1),
        "losses": [list(line) for line in log],
        "iou": evaluate(task.run, model).tolist() if outcome == "trained" else [float("nan")] * len(CLASS_NAMES),
    }
    write_json(result, record)
    return record


def evaluate(run: Run, model: SegNet) -> np.ndarray:
    """IoU of each class on val by naive upsampling."""
    split, confusion = open_split(run.settings, "val"), Confusion()
    coarse = one_blas_thread(predict_store, model, store(run, "val"))
    for i in range(len(split)):
        truth = split.labels(i)
        confusion.update(truth, naive(coarse[i], truth.shape))
    return confusion.iou()


def table(run: Run, seeds: Sequence[int], results: dict[str, list[dict[str, object]]]) -> Table:
    """Mean over the seeds, its spread, and the classes."""
    classes = run.settings.report.classes or tuple(range(len(CLASS_NAMES)))
    columns = [Column("training"), Column("mean"), Column("spread", ".2f")]
    columns += [Column(CLASS_NAMES[index]) for index in classes]
    rows = []
    for name, of_seeds in results.items():
        iou = 100 * np.array([result["iou"] for result in of_seeds], float)[:, list(classes)]  # (seeds, classes)
        means = np.nanmean(iou, axis=1) if np.isfinite(iou).any() else np.full(len(iou), np.nan)
        rows.append((name, float(means.mean()), float(means.std()), *map(float, iou.mean(axis=0))))
    note = f"Naive upsampling, corpus IoU on val in per cent; mean and standard deviation of seeds {list(seeds)}."
    return Table(f"Trainings of the head, {run.path.name}", tuple(columns), tuple(rows), note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0")
    parser.add_argument(
        "--variants", nargs="*", default=[f"{loss}:batch:10" for loss in ("ce", "uoi", "uoi+ce", "iou")]
    )
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    run = read_run(asked.run, jobs=asked.jobs, progress=Silent())
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    results: dict[str, list[dict[str, object]]] = {}
    for names in (["start"], asked.variants):
        tasks = [Task(run, asked.out, seed, Variant(name)) for name in names for seed in seeds]
        for task, result in zip(tasks, parallel_map(perform, tasks, jobs=asked.jobs), strict=True):
            results.setdefault(task.variant.text, []).append(result)
            print(f"{task.variant.text}, seed {task.seed}: {result['outcome']} in {result['seconds']} s", flush=True)
    shown = table(run, seeds, results)
    print(shown.to_markdown())
    write_text(asked.out / "trainings.csv", shown.to_csv())


if __name__ == "__main__":
    main()
