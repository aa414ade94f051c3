"""Judges of coarse maps of val that write no label maps: by naive upsampling and by the picks of Eq. 17.

A training is judged many times as it goes, so what does not change is computed once and kept: the true classes in each
cell, and each proposal on the coarse grid.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.evidence.measures import read_described
from tinysegrank.evidence.piece import EVIDENCE
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import IMAGES, ImageOfRun, images_of
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.described import STAGE
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.experiment.tasks import map_tasks
from tinysegrank.files import atomic_write, read_array, read_arrays, write_array, write_arrays
from tinysegrank.parallel import parallel_map
from tinysegrank.ranking import kl_divergences, pick
from tinysegrank.voc import BACKGROUND, soft_targets_many
from tinysegrank.voc.targets import tile_counts


class Judge(NamedTuple):
    """Evaluates coarse maps (N, 13, 13, K) of val."""

    folder: Path  # of its files
    picks: bool  # evaluates what Eq. 17 picks too, not only naive upsampling

    def naive(self, coarse: np.ndarray) -> np.ndarray:
        """Return the confusion (K, K) of naive upsampling, which labels a cell's pixels with its argmax."""
        cells = self.cell_counts()
        classes = cells.shape[3]
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion.T, coarse.argmax(axis=3).ravel(), cells.reshape(-1, classes))
        return confusion

    def eq17(self, coarse: np.ndarray, eps: float, background_weight: float) -> np.ndarray:
        """Return the confusion (K, K) of the proposals that Eq. 17 picks."""
        terms, proposals = self.divergences(coarse, eps) + background_weight * self.backgrounds(), self.proposals()
        return proposals["confusions"][pick(-terms, proposals["groups"])].sum(axis=0, dtype=np.int64)

    def divergences(self, coarse: np.ndarray, eps: float) -> np.ndarray:
        """Return the divergences of Eq. 17, the sum of both directions, of each proposal, (rows,) float64."""
        soft, groups = self._soft(), self.proposals()["groups"]
        found = np.empty(len(groups))
        ends = np.cumsum(np.bincount(groups, minlength=len(coarse)))  # rows are in the order of images
        for own, start, end in zip(coarse, (0, *ends), ends, strict=False):
            found[start:end] = np.sum(kl_divergences(own, soft[start:end], eps=eps), axis=0)
        return found

    def backgrounds(self) -> np.ndarray:
        """Return the background term of Eq. 17 of each proposal, in cells, (rows,) float64."""
        return np.asarray(self._soft()[..., BACKGROUND].sum(axis=(1, 2), dtype=np.float64))

    def cell_counts(self) -> np.ndarray:
        """Return the pixels of each true class in each cell, (N, 13, 13, K) int64."""
        return read_array(self.folder / "cells" / "cells.npy", mapped=True)

    def proposals(self) -> dict[str, np.ndarray]:
        """Return the image of each proposal, (rows,) int64, and its confusion, (rows, K, K) int32."""
        return load_once(read_arrays, self.folder / "proposals" / "rows.safetensors")

    def _soft(self) -> np.ndarray:
        """Return the proposals on the coarse grid, (rows, 13, 13, K) float32, memory-mapped."""
        return read_array(self.folder / "proposals" / "soft.npy", mapped=True)


def make_judge(run: Run, *, picks: bool) -> Judge:
    """Return a judge of the run's val; compute the files it reads if they are missing or stale.

    With `picks` it can judge by the picks of Eq. 17 too, which needs the stage `described`.
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
    """Count the pixels of each class in each cell, (1, 13, 13, K)."""
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
    """Average an image's proposals over the cells of the coarse grid, (m, 13, 13, K)."""
    labels, _ = store(image.run, "val").read(image.name)
    return soft_targets_many(labels, num_classes=len(image.run.settings.classes))[0]
