"""What an image costs each stage, over the number of images: it should not grow.

    for n in 150 500; do tinysegrank run --voc VOCdevkit/VOC2012 --weights FILE --limit $n --out runs/limit-$n; done
    python tests/benchmarks/stage_costs.py runs/limit-150 runs/limit-500 runs/voc --out runs/costs

reads what finished runs of one experiment note of their stages' time; --limit takes so many images of each split. A
training takes the same number of steps for any number of images, so the stages that work by step stand apart, in
seconds for the whole run. Writes a table and a plot.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinysegrank.experiment import STAGES, Silent
from tinysegrank.experiment.images import names
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.files import write_text
from tinysegrank.reporting import Cell, Column, Curve, Plot, Table, plots

BY_STEP = ("trunk", "training", "ranker", "report")  # the ranker's work is by pair, and by how hard its problem is


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    runs = [read_run(path, jobs=1, progress=Silent()) for path in asked.runs]
    images = np.array([len(names(run, "train")) + len(names(run, "val")) for run in runs])
    runs, images = [runs[i] for i in np.argsort(images)], np.sort(images)
    rows: list[tuple[Cell, ...]] = []
    curves = {}
    for stage in STAGES:
        stamps = [run.stamp(stage.name) for run in runs]
        if not all(stamp.complete for stamp in stamps):
            continue
        seconds = np.array([stamp.seconds for stamp in stamps])
        if stage.name in BY_STEP:
            rows.append((f"{stage.name}, s in all", *seconds.tolist(), None))
            continue
        cost = 1000 * seconds / images
        rows.append((f"{stage.name}, ms an image", *cost.tolist(), float(cost[-1] / cost[0])))
        if cost[-1] >= 1:
            curves[stage.name] = Curve(images, cost)
    heads = (*(Column(f"{n:,} images", ".1f") for n in images), Column("last / first", ".2f"))
    table = Table("Cost of each stage", (Column("stage"), *heads), tuple(rows))
    write_text(asked.out / "costs.md", table.to_markdown())
    plots(asked.out / "costs.png", [Plot(curves, "images, training and val", "ms an image", logarithmic="y")])
    print(table.to_markdown())


if __name__ == "__main__":
    main()
