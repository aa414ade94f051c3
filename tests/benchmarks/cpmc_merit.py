"""How good CPMC's segments of val are: average best overlap and covering against their number.

    python tests/benchmarks/cpmc_merit.py runs/voc --out runs/merit

takes a run whose stage "segments" is done (engine paste or both). An object is an instance where the data have them,
else a connected component of one class of at least 100 pixels. The CPMC paper reports a covering of 0.78 at 154
segments on VOC 2009, with gPb contours and true instances.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinysegrank.experiment import Silent
from tinysegrank.experiment.images import ImageOfRun, images_of
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages.segments import read_segments
from tinysegrank.files import write_text
from tinysegrank.parallel import parallel_map
from tinysegrank.reporting import Column, Curve, Plot, Table, plots
from tinysegrank.voc import VOID, find_objects

COUNTS = (1, 5, 10, 20, 30, 50, 75, 100, 125, 150)


def examine(image: ImageOfRun) -> tuple[np.ndarray, np.ndarray]:
    """Best overlaps (N, O) of the image's objects, and their pixels that are not void."""
    labels = image.labels()
    objects, known = find_objects(labels, image.split.instances(image.number)).masks, labels != VOID
    segments, _ = read_segments(image)
    overlaps = segments.overlaps_with(objects, known=known)  # (R, O)
    best = np.stack([overlaps[:n].max(axis=0, initial=0) for n in COUNTS])
    return best, (objects & known).sum(axis=(1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    run = read_run(asked.run, jobs=asked.jobs, progress=Silent())
    images = images_of(run, "val")
    parts = zip(*parallel_map(examine, images, jobs=asked.jobs), strict=True)
    best, sizes = (np.concatenate(part, axis=-1) for part in parts)  # (counts, objects), (objects,)
    lines = {"covering": best @ sizes / sizes.sum(), "average best overlap": best.mean(axis=1)}
    columns = (Column("segments", ".0f"), Column("average best overlap", ".3f"), Column("covering", ".3f"))
    rows = tuple(zip(map(float, COUNTS), *(lines[column.name].tolist() for column in columns[1:]), strict=True))
    table = Table(f"CPMC segments of {len(images)} val images, {len(sizes)} objects", columns, rows)
    write_text(asked.out / "cpmc_merit.md", table.to_markdown())
    write_text(asked.out / "cpmc_merit.csv", table.to_csv())
    curves = {name: Curve(np.array(COUNTS), values) for name, values in lines.items()}
    plots(asked.out / "cpmc_merit.png", [Plot(curves, "segments", "overlap, 0..1")])
    print(table.to_markdown())


if __name__ == "__main__":
    main()
