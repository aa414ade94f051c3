"""What CPMC's ranker of segments gains from the trunk's maps, on training images that it was not fitted on.

    python tests/benchmarks/segment_ranking.py runs/best --fit 150 --held 120

takes a run whose stages "superpixels" and "maps" are done. Each row has a number of components of the maps and a width
of the ranker's kernel; the columns are the correlation of predicted and true best overlap over all candidates, and the
mean over the objects of the best overlap among the first 10, 30 and 150 segments.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.experiment import Run, Silent
from tinysegrank.experiment.images import ImageOfRun, images_of, names
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages.maps import channels, read_maps, read_means
from tinysegrank.parallel import parallel_map
from tinysegrank.proposals import MapReduction, segment_overlaps
from tinysegrank.proposals.o2p.cpmc import SegmentRanker, candidates, diverse_order, segment_features
from tinysegrank.proposals.o2p.second_order import map_columns
from tinysegrank.reporting import Column, Table
from tinysegrank.voc import VOID, find_objects

MOST = 32
TRIED = (
    *((0, width) for width in (0.1, 0.05, 0.03, 0.02, 0.01)),
    *((kept, width) for kept in (4, 8, 16) for width in (0.03, 0.02)),
    (32, 0.02),
)
COUNTS = (10, 30, 150)


class Examined(NamedTuple):
    hand: np.ndarray  # (R, 25)
    by_maps: np.ndarray  # (R, 2 * MOST)
    overlaps: np.ndarray  # (R, O) with the objects
    between: np.ndarray  # (R, R)

    def columns(self, kept: int) -> np.ndarray:
        """The hand-made features, and the means of the first components over figure and ground."""
        return np.hstack([self.hand, self.by_maps[:, :kept], self.by_maps[:, MOST : MOST + kept]])


def examine(task: tuple[ImageOfRun, MapReduction]) -> Examined:
    image, reduction = task
    options, photograph, labels = image.run.settings.proposals.paste.segments, image.image(), image.labels()
    found = candidates(photograph, options=options.cpmc, rng=np.random.default_rng(options.seed))
    objects = find_objects(labels, image.split.instances(image.number)).masks
    columns = map_columns(reduction, read_means(image))
    return Examined(
        segment_features(photograph, found.superpixels, found.boundaries, found.members),
        columns(found.segments),
        found.segments.overlaps_with(objects, known=labels != VOID),
        segment_overlaps(found.members, np.bincount(found.superpixels.ravel())),
    )


def gather(run: Run, fit: int, held: int, jobs: int) -> tuple[list[Examined], list[Examined]]:
    count = len(names(run, "train"))
    to_fit = np.unique(np.linspace(0, count - 1, fit).astype(int))
    rest = np.setdiff1d(np.arange(count), to_fit)
    others = rest[np.unique(np.linspace(0, len(rest) - 1, held).astype(int))]
    images = images_of(run, "train", to_fit)
    reduction = MapReduction.fit((read_maps(image).superpixels for image in images), channels(run), size=MOST)
    tasks = [(image, reduction) for image in (*images, *images_of(run, "train", others))]
    examined = list(parallel_map(examine, tasks, jobs=jobs))
    return examined[: len(images)], [one for one in examined[len(images) :] if one.overlaps.shape[1]]


def judge(fitted_on: list[Examined], held: list[Examined], kept: int, width: float) -> list[float]:
    rows = np.concatenate([one.columns(kept) for one in fitted_on if one.overlaps.shape[1]])
    best = np.concatenate([one.overlaps.max(axis=1) for one in fitted_on if one.overlaps.shape[1]])
    ranker = SegmentRanker(width=width).fit(rows, best, rng=np.random.default_rng(0))
    scores = [ranker.predict(one.columns(kept)) for one in held]
    truth = np.concatenate([one.overlaps.max(axis=1) for one in held])
    firsts = []
    for one, of_one in zip(held, scores, strict=True):
        overlaps = one.overlaps[diverse_order(of_one, one.between)]
        firsts.append([overlaps[:n].max(axis=0) for n in COUNTS])
    found = np.concatenate(firsts, axis=1).mean(axis=1)  # over all objects
    return [float(np.corrcoef(np.concatenate(scores), truth)[0, 1]), *(100 * found).tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--fit", type=int, default=150)
    parser.add_argument("--held", type=int, default=120)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    run = read_run(asked.run, jobs=asked.jobs, progress=Silent())
    fitted_on, held = gather(run, asked.fit, asked.held, asked.jobs)
    objects = sum(one.overlaps.shape[1] for one in held)
    columns = (
        *(Column(name, digits) for name, digits in (("components", ".0f"), ("width", ".2f"), ("correlation", ".3f"))),
        *(Column(f"best of {n}", ".1f") for n in COUNTS),
    )
    rows = tuple((float(kept), width, *judge(fitted_on, held, kept, width)) for kept, width in TRIED)
    title = f"{len(fitted_on)} images to fit on, {len(held)} held out with {objects} objects"
    print(Table(title, columns, rows).to_markdown())


if __name__ == "__main__":
    main()
