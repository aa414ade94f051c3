"""By what to choose the proposals' constants: by the oracle's image IoU, or by its corpus IoU.

    python tests/benchmarks/choice_by.py runs/both --out runs/choice_by

takes a run whose stage "proposing" was done with --set proposals.engine=both. The engines' grids are tried on all
images of some folds, under the models that did not see them. Then, many times: each criterion chooses on some of these
images, drawn at random, and what it chose is judged on the others, by how far its oracle is below that of the setting
that is best there. Prints a table of the means, a row for each engine and number of images to choose on, and writes it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from tinysegrank.experiment import Run, Shown
from tinysegrank.experiment.images import names as image_names
from tinysegrank.experiment.proposers import crf, paste
from tinysegrank.experiment.proposers.divmbest import held_out_trials
from tinysegrank.experiment.proposers.protocol import FOLDER
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.files import read_json, write_text
from tinysegrank.metrics import mean_of_present
from tinysegrank.proposals import CRITERIA, choose
from tinysegrank.proposals.curves import mean_iou_of
from tinysegrank.reporting import Cell, Column, Table


def trials_of(run: Run, name: str, folds: list[int]) -> tuple[list[str], np.ndarray]:
    """What the settings are, and the oracle's confusions (images, settings, K, K)."""
    asked = run.settings.proposals
    if name == "crf":
        grid, proposer = crf.grid_of(asked), crf.CrfProposer()
        names = [f"strength {options.strength:g}, lambda {options.lam:g}" for options in grid]
    else:
        chosen = read_json(run.folder(FOLDER) / "paste" / "chosen.json")["options"]
        grid, proposer = paste.grid_of(asked, chosen["threshold"]), paste.PasteProposer()
        names = [f"lambda {options.lam:g}" for options in grid]
    count = len(image_names(run, "train"))
    trials = [one for fold in folds for one in held_out_trials(run, proposer, grid, images=count, fold=fold)]
    return names, np.stack(trials)


def judged(trials: np.ndarray, images: int, classes: tuple[int, ...] | None, draws: int) -> dict[str, list]:
    """Of each criterion: the setting chosen, and what its oracle lacks, for each draw."""
    rng, found = np.random.default_rng(0), {by: [] for by in CRITERIA}
    settings = range(trials.shape[1])
    for _ in range(draws):
        order = rng.permutation(len(trials))
        some, others = trials[order[:images]], trials[order[images:], :, 0]
        total = others.sum(axis=0)
        measures = (
            np.array([mean_iou_of(total[g], classes) for g in settings]),
            np.array([mean_iou_of(total[g]) for g in settings]),
            np.nan_to_num(mean_of_present(others)).mean(axis=0),
        )
        for by in CRITERIA:
            best = choose(list(settings), some, by=by).best
            found[by].append((best, *(100 * float(values.max() - values[best]) for values in measures)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--images", nargs="+", type=int, default=[60, 150])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    from tinysegrank.cli.show import console

    run = read_run(asked.run, jobs=asked.jobs, progress=Shown(console))
    classes = run.settings.report.classes or None
    rows: list[tuple[Cell, ...]] = []
    for name in ("crf", "paste"):
        names, trials = trials_of(run, name, asked.folds)
        for images in asked.images:
            if images >= len(trials):
                parser.error(f"--images {images}: the folds have {len(trials)} images; leave some to judge on")
            for by, draws in judged(trials, images, classes, asked.draws).items():
                lost = np.mean([one[1:] for one in draws], axis=0)
                (most, times), *_ = Counter(one[0] for one in draws).most_common(1)
                share = f"{names[most]} ({times / asked.draws:.0%})"
                rows.append((name, images, len(trials) - images, by, *map(float, lost), share))
    columns = (
        *map(Column, ("engine", "images to choose on", "to judge on", "chosen by")),
        Column("corpus IoU lost, 7 classes" if classes else "corpus IoU lost", ".2f"),
        Column("all classes", ".2f"),
        Column("image IoU lost", ".2f"),
        Column("chosen most"),
    )
    table = Table("Oracle below that of the best setting on other images, points", columns, tuple(rows))
    write_text(asked.out / "choice_by.md", table.to_markdown())
    write_text(asked.out / "choice_by.csv", table.to_csv())
    print(table.to_markdown())


if __name__ == "__main__":
    main()
