"""Judges of coarse maps of val that write no label maps: by naive upsampling and by the picks of Eq. 17.

A training is judged many times as it goes, so what does not change is computed once and kept: the true classes in each
cell, and each proposal on the coarse grid.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.evidence.measures import described, summed
from tinysegrank.evidence.piece import EVIDENCE
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.artifacts import load_once
from tinysegrank.experiment.images import ImageOfRun, images_of
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.proposals import store
from tinysegrank.files import atomic_write, read_array, read_arrays, write_array, write_arrays
from tinysegrank.metrics import Confusion
from tinysegrank.parallel import parallel_map
from tinysegrank.ranking import pick, proposal_distance
from tinysegrank.voc import NUM_CLASSES, soft_targets_many
from tinysegrank.voc.targets import tile_counts

_AT_ONCE = 16


class Judge(NamedTuple):
    """Evaluates coarse maps (N, 13, 13, K) of val; its files are in two folders, the second for Eq. 17 alone."""

    cells: Path
    proposed: Path

    def naive(self, coarse: np.ndarray) -> Confusion:
        """Return the confusion of naive upsampling, which labels every pixel of a cell with the cell's argmax.

        coarse | (N, 13, 13, K) | floating |
        """
        cells = self.cell_counts()
        confusion = Confusion(cells.shape[3])
        np.add.at(confusion.matrix.T, coarse.argmax(axis=3).ravel(), cells.reshape(-1, cells.shape[3]))
        return confusion

    def eq17_rows(self, coarse: np.ndarray, *, eps: float, background_weight: float) -> np.ndarray:
        """Return the row of the val table that Eq. 17 picks for each image, (N,) int64."""
        soft, groups = self.soft_proposals(), self.proposals()["groups"]
        distances = np.empty(len(groups))
        for image, own in enumerate(coarse):
            rows = np.flatnonzero(groups == image)
            options = {"eps": eps, "background_weight": background_weight}
            distances[rows] = proposal_distance(own, soft[rows[0] : rows[-1] + 1], **options)
        return pick(-distances, groups)

    def eq17(self, coarse: np.ndarray, *, eps: float, background_weight: float) -> Confusion:
        """Return the confusion of the proposals that Eq. 17 picks."""
        rows = self.eq17_rows(coarse, eps=eps, background_weight=background_weight)
        return summed(self.proposals()["confusions"][rows])

    def cell_counts(self) -> np.ndarray:
        """Return the pixels of each true class in each cell, (N, 13, 13, K) int64."""
        return read_array(self.cells / "cells.npy", mapped=True)

    def soft_proposals(self) -> np.ndarray:
        """Return the proposals on the coarse grid, (rows, 13, 13, K) float32, memory-mapped."""
        return read_array(self.proposed / "soft.npy", mapped=True)

    def proposals(self) -> dict[str, np.ndarray]:
        """Return the image of each proposal, (rows,) int64, and its confusion, (rows, K, K) int32."""
        return load_once(read_arrays, self.proposed / "rows.safetensors")


def make_judge(run: Run, *, proposals: bool) -> Judge:
    """Return a judge, computing its files if they are missing; with `proposals` it evaluates Eq. 17 too."""
    folder, truth = run.folder(EVIDENCE) / "judge", run.content("data/val.json")
    judge = Judge(folder / "cells", folder / "proposals")
    artifacts.make(judge.cells, artifacts.key(None, truth, __name__), partial(_write_cells, run, judge))
    if proposals:
        key = artifacts.key(None, [truth, run.content("described")], __name__)
        artifacts.make(judge.proposed, key, partial(_write_proposals, run, judge))
    return judge


def _chunks(run: Run) -> list[list[ImageOfRun]]:
    images = images_of(run, "val")
    return [images[i : i + _AT_ONCE] for i in range(0, len(images), _AT_ONCE)]


def _write_cells(run: Run, judge: Judge) -> None:
    parts = parallel_map(_count_cells, _chunks(run), jobs=run.jobs)
    write_array(judge.cells / "cells.npy", np.concatenate(list(parts)))


def _count_cells(images: list[ImageOfRun]) -> np.ndarray:
    """Count the pixels of each class in the cells of several images, (n, 13, 13, K)."""
    return np.concatenate([tile_counts(image.labels()[None], (13, 13), NUM_CLASSES) for image in images])


def _write_proposals(run: Run, judge: Judge) -> None:
    val, chunks = described(run, "val"), _chunks(run)
    groups = val.table.groups
    write_arrays(judge.proposed / "rows.safetensors", {"groups": groups, "confusions": val.confusions})
    what, header = "images whose proposals are read", {"descr": "<f4", "fortran_order": False}
    with (
        run.progress.count(what, sum(map(len, chunks))) as advance,
        atomic_write(judge.proposed / "soft.npy") as stream,
    ):
        np.lib.format.write_array_header_1_0(stream, {**header, "shape": (len(groups), 13, 13, NUM_CLASSES)})
        parts = parallel_map(_soften, chunks, jobs=run.jobs, on_cluster=False)  # they are larger than what is read
        for chunk, part in zip(chunks, parts, strict=True):
            stream.write(part.astype("<f4").tobytes())
            advance(len(chunk))


def _soften(images: list[ImageOfRun]) -> np.ndarray:
    """Average the proposals of several images over the cells of the coarse grid, (m, 13, 13, K)."""
    proposals = store(images[0].run, "val")
    return np.concatenate([soft_targets_many(proposals.read(image.name)[0])[0] for image in images])
