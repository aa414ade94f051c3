"""What the reduction of SIFT and binary patterns before pooling costs the proposals: oracles with and without it.

    common="--experiment paper --folds 2 --voc VOCdevkit/VOC2012 --weights FILE --until proposing"
    tinysegrank run $common --out runs/reduced
    tinysegrank run $common --out runs/full --set proposals.paste.segments.sift=0 --set proposals.paste.segments.lbp=0
    python tests/benchmarks/reduced_descriptors.py runs/reduced runs/full

DivMBest over pastings of both runs, at each lambda that they tried: for the training images, each by the models that
did not see it, for val, and for all of them. Thresholds are those that each run chose. (Their lambdas are chosen on
part of the training images, by differences that are smaller than those between the lambdas on other images; so all are
shown; --set "proposals.paste.lambdas=[0.08]" leaves one.) The interval of corpus IoU is by the bootstrap over images,
that of the mean image IoU by its standard error.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import Run, Silent
from tinysegrank.experiment import data as run_data
from tinysegrank.experiment.evidence.sources import per_cent, total
from tinysegrank.experiment.proposers.paste import engine_of
from tinysegrank.experiment.proposers.protocol import Model, model_of
from tinysegrank.experiment.regions import ImageTask, image_tasks
from tinysegrank.experiment.runner import read_run
from tinysegrank.metrics import paired_difference
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import divmbest, oracle_tally
from tinysegrank.reporting import Cell, Column, Table


class Asked(NamedTuple):
    """An image under the models that may serve it."""

    task: ImageTask
    model: Model
    lambdas: tuple[float, ...]
    count: int


def oracles(asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """Confusions of the 1-best and the oracle (lambdas, 2, K, K), and their image IoUs (lambdas, 2)."""
    truth = run_data.split_in_worker(asked.task.settings, asked.task.which).labels(asked.task.number)
    engine, _ = engine_of(asked.task, asked.model)
    found = [oracle_tally(truth, divmbest(engine, lam, asked.count), (1, asked.count)) for lam in asked.lambdas]
    return np.stack([one.confusions for one in found]), np.stack([one.image_ious for one in found])


def tally(run: Run, count: int, jobs: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of all images: (images, lambdas, 2, K, K) and (images, lambdas, 2)."""
    lambdas, asked = run.settings.proposals.paste.lambdas, []
    for which, fold_of in (("train", run_data.folds(run)), ("val", None)):
        numbers = list(range(len(run_data.names(run, which))))
        for task in image_tasks(run, which, numbers):
            fold = -1 if fold_of is None else int(fold_of[task.number])
            asked.append(Asked(task, model_of(run, "paste", fold), lambdas, count))
    confusions, image_ious = zip(*parallel_map(oracles, asked, jobs=jobs), strict=True)
    return np.stack(confusions), np.stack(image_ious)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reduced", type=Path)
    parser.add_argument("full", type=Path)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    runs = [read_run(path, jobs=asked.jobs, progress=Silent()) for path in (asked.reduced, asked.full)]
    (reduced, reduced_iou), (full, full_iou) = (tally(run, asked.count, asked.jobs) for run in runs)
    training = len(run_data.names(runs[0], "train"))
    classes = runs[0].settings.report.classes or None
    heads = ("1-best", f"oracle among {asked.count}")
    parts = {"training images, out of fold": slice(training), "val": slice(training, None), "all images": slice(None)}
    for title, images in parts.items():
        rows: list[tuple[Cell, ...]] = []
        for i, lam in enumerate(runs[0].settings.proposals.paste.lambdas):
            cells = [per_cent(runs[0], total(of[images, i, k])) for k in (0, 1) for of in (reduced, full)]
            rng = np.random.default_rng(0)
            gap = paired_difference(reduced[images, i, 1], full[images, i, 1], rng=rng, classes=classes)
            image_iou = [100 * of[images, i, 1] for of in (reduced_iou, full_iou)]
            gains = image_iou[0] - image_iou[1]
            error = 1.96 * gains.std(ddof=1) / np.sqrt(len(gains))
            of_images = (*(float(of.mean()) for of in image_iou), float(gains.mean()), float(error))
            rows.append((lam, *cells, *(100 * x for x in gap), *of_images))
        columns = [Column("lambda", "g")]
        columns += [Column(f"{head}, {kind}") for head in heads for kind in ("reduced", "full")]
        columns += [Column(name) for name in ("difference", "from", "to")]
        columns += [Column(f"oracle's image IoU, {kind}") for kind in ("reduced", "full")]
        columns += [Column("difference", ".2f"), Column("+- (95 %)", ".2f")]
        print(Table(f"Corpus IoU, per cent: {title}", tuple(columns), tuple(rows)).to_markdown())


if __name__ == "__main__":
    main()
