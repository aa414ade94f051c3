"""Measurements and a figure that several pieces of evidence share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank import reporting
from tinysegrank.evidence.piece import EVIDENCE
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import IMAGES, ImageOfRun, images_of
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.described import STAGE, Described, load_described
from tinysegrank.experiment.stages.evaluation import folder_of, read_confusions
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.experiment.tasks import map_tasks
from tinysegrank.files import atomic_write, read_array, read_arrays, write_array, write_arrays
from tinysegrank.metrics import Confusion
from tinysegrank.parallel import parallel_map
from tinysegrank.ranking import kl_divergences, pick
from tinysegrank.voc import BACKGROUND, soft_targets_many
from tinysegrank.voc.targets import tile_counts


def read_described(run: Run, which: str) -> Described:
    """Read the described proposals of a split, cached in each process."""
    return load_once(_load, run.folder(STAGE.name), run, which)


def _load(folder: Path, run: Run, which: str) -> Described:  # noqa: ARG001
    return load_described(run, which)


def system_confusions(run: Run, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read confusion matrices (N, K, K), one per image of val, for each of some systems, named as in a run's tables."""
    return {name: read_confusions(run, folder_of(run.settings, name)) for name in names}


def means(run: Run, confusions: np.ndarray) -> list[tuple[str, float]]:
    """Return mean corpus IoUs of the sum of confusion matrices (..., K, K), in per cent, each with a heading.

    If the run reports certain classes, the first mean is over those and the second over all; else there is one mean,
    over all classes. Classes that aren't in the truth are left out.
    """
    confusion, reported = Confusion.of(confusions), run.settings.report.classes
    found = [confusion.mean_iou(classes=classes) for classes in ((reported, None) if reported else (None,))]
    return [(f"mean of {mean.classes} classes", 100 * mean.value) for mean in found]


def per_cent(run: Run, confusions: np.ndarray) -> float:
    """Return the mean corpus IoU over the classes that the run reports, in per cent; see `means`."""
    return means(run, confusions)[0][1]


def bars_beside_paper(ours: Mapping[str, Any], paper: Mapping[str, float], title: str) -> Callable[[Path], None]:
    """Return a function that draws to a file, for each method, the mean of its values `ours` beside the paper's value.

    Values are in per cent. If a method has several, a line over its bar spans them.
    """
    series: dict[str, Any] = {"this run": list(map(np.mean, ours.values())), "the paper": list(map(paper.get, ours))}
    spans = {"this run": [(min(values), max(values)) if len(values) > 1 else None for values in ours.values()]}
    label = "mean IoU on val, per cent"
    return partial(reporting.bars, groups=list(ours), series=series, label=label, title=title, ranges=spans)


class Judge(NamedTuple):
    """Evaluates coarse maps (N, 13, 13, K) of val by naive upsampling and by the picks of Eq. 17, without label maps.

    A training is judged many times, so the true classes in each cell and the proposals on the coarse grid are computed
    once and stored.
    """

    folder: Path  # of the stored arrays
    picks: bool  # whether the picks of Eq. 17 are evaluated, besides naive upsampling

    def naive(self, coarse: np.ndarray) -> np.ndarray:
        """Return the confusion matrix (K, K) of naive upsampling over val: a cell's pixels get the cell's argmax."""
        cells = self.cell_counts()
        classes = cells.shape[3]
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion.T, coarse.argmax(axis=3).ravel(), cells.reshape(-1, classes))
        return confusion

    def eq17(self, coarse: np.ndarray, eps: float, background_weight: float) -> np.ndarray:
        """Return the confusion matrix (K, K) over val of the proposals that Eq. 17 picks."""
        terms, proposals = self.divergences(coarse, eps) + background_weight * self.backgrounds(), self.proposals()
        return proposals["confusions"][pick(-terms, proposals["groups"])].sum(axis=0, dtype=np.int64)

    def divergences(self, coarse: np.ndarray, eps: float) -> np.ndarray:
        """Return the divergence term of Eq. 17, the sum of both directions, of each proposal, (rows,) float64."""
        soft, groups = self._soft(), self.proposals()["groups"]
        found = np.empty(len(groups))
        ends = np.cumsum(np.bincount(groups, minlength=len(coarse)))  # rows are in the order of images
        for own, start, end in zip(coarse, (0, *ends), ends, strict=False):
            found[start:end] = np.sum(kl_divergences(own, soft[start:end], eps=eps), axis=0)
        return found

    def backgrounds(self) -> np.ndarray:
        """Return the unweighted background term of Eq. 17 of each proposal, in cells, (rows,) float64."""
        return self._soft()[..., BACKGROUND].sum(axis=(1, 2), dtype=np.float64)

    def cell_counts(self) -> np.ndarray:
        """Return the number of pixels of each true class in each cell, (N, 13, 13, K) int64, memory-mapped."""
        return read_array(self.folder / "cells" / "cells.npy", mapped=True)

    def proposals(self) -> dict[str, np.ndarray]:
        """Return "groups", the image's index for each proposal, (rows,) int64, and "confusions", (rows, K, K) int32."""
        return load_once(read_arrays, self.folder / "proposals" / "rows.safetensors")

    def _soft(self) -> np.ndarray:
        """Return the share of each class in each cell of each proposal, (rows, 13, 13, K) float32, memory-mapped."""
        return read_array(self.folder / "proposals" / "soft.npy", mapped=True)


def make_judge(run: Run, *, picks: bool) -> Judge:
    """Return a judge of the run's val, whose files are made first if they are missing or stale.

    With `picks` it can also judge by the picks of Eq. 17, which needs the stage `described`.
    """
    judge, truth = Judge(run.folder(EVIDENCE) / "judge", picks), run.content(IMAGES[1])
    folder = judge.folder / "cells"
    artifacts.make(folder, artifacts.key(None, truth, __name__), partial(_write_cells, run, folder))
    if picks:
        folder, key = judge.folder / "proposals", artifacts.key(None, [truth, run.content(STAGE.name)], __name__)
        artifacts.make(folder, key, partial(_write_proposals, run, folder))
    return judge


def _write_cells(run: Run, folder: Path) -> None:
    cells = map_tasks(run, "val masks", _count_cells, images_of(run, "val"))
    write_array(folder / "cells.npy", np.concatenate(list(cells)))


def _count_cells(image: ImageOfRun) -> np.ndarray:
    """Count the pixels of each true class in each cell of an image, (1, 13, 13, K)."""
    return tile_counts(image.labels()[None], (13, 13), len(image.run.settings.classes))


def _write_proposals(run: Run, folder: Path) -> None:
    val, images = read_described(run, "val"), images_of(run, "val")
    groups = val.table.groups
    write_arrays(folder / "rows.safetensors", {"groups": groups, "confusions": np.asarray(val.confusions)})
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(groups), 13, 13, len(run.settings.classes))}
    count = run.progress.count("images whose proposals are read", len(images))
    with count as advance, atomic_write(folder / "soft.npy") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        # not on a cluster, as what is computed is larger than what is read
        for part in parallel_map(_soften, images, jobs=run.jobs, on_cluster=False, advance=advance):
            stream.write(part.astype("<f4").tobytes())


def _soften(image: ImageOfRun) -> np.ndarray:
    """Compute the share of each class in each cell of an image's proposals, (M, 13, 13, K)."""
    labels, _ = store(image.run, "val").read(image.name)
    return soft_targets_many(labels, num_classes=len(image.run.settings.classes))[0]
