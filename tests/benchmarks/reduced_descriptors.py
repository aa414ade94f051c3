"""What the reduction of SIFT and binary patterns before pooling costs the proposals: oracles with and without it.

    common="--experiment paper --set folds=2 --voc VOCdevkit/VOC2012 --weights FILE --until proposing"
    tinysegrank run $common --out runs/reduced
    tinysegrank run $common --out runs/full --set proposals.paste.segments.sift=0 --set proposals.paste.segments.lbp=0
    python tests/benchmarks/reduced_descriptors.py runs/reduced runs/full

DivMBest over pastings of both runs, on all images, each by models that did not see it, under a grid of thresholds of
the background and of lambdas: the oracle depends on the two together more than on the descriptors, so descriptors are
compared each at its best. The best is found on the very images that it is then shown on, for both alike. The interval
of corpus IoU is by the bootstrap over images, that of the mean image IoU by its standard error.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.evidence.measures import per_cent
from tinysegrank.experiment import Run, Silent
from tinysegrank.experiment import images as run_data
from tinysegrank.experiment.images import ImageOfRun, images_of
from tinysegrank.experiment.proposers.paste import PasteProposer, Pasting
from tinysegrank.experiment.proposers.protocol import Model, model_of
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.metrics import mean_of_present, paired_difference
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import oracle_confusions
from tinysegrank.reporting import Cell, Column, Table


class Asked(NamedTuple):
    """An image under the models that may serve it."""

    image: ImageOfRun
    model: Model
    grid: tuple[Pasting, ...]


class Tally(NamedTuple):
    """The 1-best and the oracle of all images under each pair of constants.

    confusions | (images, G, 2, K, K) | int64   | pixels
    image_ious | (images, G, 2)       | float64 | 0..1
    """

    confusions: np.ndarray
    image_ious: np.ndarray


def oracles(asked: Asked) -> Tally:
    """The tally of one image, without the first dimension."""
    truth = asked.image.labels()
    proposals = PasteProposer().propose_under(asked.image, asked.model, asked.grid)
    found = [
        oracle_confusions(truth, of, (1, one.count), num_classes=21)
        for of, one in zip(proposals, asked.grid, strict=True)
    ]
    return Tally(np.stack(found), np.nan_to_num(mean_of_present(np.stack(found))))


def tally(run: Run, grid: tuple[Pasting, ...], every: int, jobs: int) -> Tally:
    asked = []
    for which, fold_of in (("train", run_data.folds(run)), ("val", None)):
        for image in images_of(run, which)[::every]:
            fold = -1 if fold_of is None else int(fold_of[image.number])
            asked.append(Asked(image, model_of(run, "paste", fold), grid))
    return Tally(*(np.stack(parts) for parts in zip(*parallel_map(oracles, asked, jobs=jobs), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reduced", type=Path)
    parser.add_argument("full", type=Path)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.28, 0.3, 0.32, 0.34, 0.36])
    parser.add_argument("--lambdas", type=float, nargs="+", default=[0.04, 0.06, 0.08, 0.12])
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--every", type=int, default=1, help="take each n-th image only")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    grid = tuple(Pasting(*pair, asked.count) for pair in product(asked.thresholds, asked.lambdas))
    runs = [read_run(path, jobs=asked.jobs, progress=Silent()) for path in (asked.reduced, asked.full)]
    run, both = runs[0], [tally(run, grid, asked.every, asked.jobs) for run in runs]
    corpus = np.array([[[per_cent(run, of.confusions[:, g, k]) for of in both] for k in (0, 1)]
                       for g in range(len(grid))])  # (G, 2, kinds)  # fmt: skip
    image = np.stack([100 * of.image_ious.mean(axis=0) for of in both], axis=-1)  # the same
    rows: list[tuple[Cell, ...]] = [
        (one.threshold, one.lam, *map(float, corpus[g].ravel()), *map(float, image[g].ravel()))
        for g, one in enumerate(grid)
    ]
    heads = ("1-best", f"oracle among {asked.count}")
    columns = [Column("threshold", "g"), Column("lambda", "g")]
    for measure in ("corpus", "image"):
        columns += [Column(f"{head}, {measure} IoU, {kind}") for head in heads for kind in ("reduced", "full")]
    print(Table(f"{len(both[0].image_ious)} images, per cent", tuple(columns), tuple(rows)).to_markdown())

    rng, classes = np.random.default_rng(0), run.settings.report.classes or None
    at = [grid[int(g)] for g in corpus[:, 1].argmax(axis=0)]
    best = [of.confusions[:, grid.index(one), 1] for of, one in zip(both, at, strict=True)]
    gap = [100 * x for x in paired_difference(best[0], best[1], rng=rng, classes=classes)]
    found = [per_cent(run, of) for of in best]
    print(sentence("corpus", at, found, gap))
    at = [grid[int(g)] for g in image[:, 1].argmax(axis=0)]
    of_images = [100 * of.image_ious[:, grid.index(one), 1] for of, one in zip(both, at, strict=True)]
    gains = of_images[0] - of_images[1]
    error = 1.96 * gains.std(ddof=1) / np.sqrt(len(gains))
    gap = [gains.mean(), gains.mean() - error, gains.mean() + error]
    print(sentence("image", at, [of.mean() for of in of_images], gap))


def sentence(measure: str, at: list[Pasting], found: list[float], gap: list[float]) -> str:
    """Each kind at its best constants."""
    ends = [
        f"{kind} {value:.1f} (threshold {one.threshold:g}, lambda {one.lam:g})"
        for kind, one, value in zip(("reduced", "in full"), at, found, strict=True)
    ]
    return f"Oracle's {measure} IoU at its best: {ends[0]}, {ends[1]}: {gap[0]:+.2f} ({gap[1]:+.2f} to {gap[2]:+.2f})"


if __name__ == "__main__":
    main()
