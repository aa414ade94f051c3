"""Judging coarse maps of val without writing label maps: naive upsampling and the picks of Eq. 17, for any network.

A training that is followed step by step is judged many times, so what does not change is computed once and kept: the
true classes in each cell, and each proposal on the coarse grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinysegrank.evidence.sources import described, total
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

FOLDER = "evidence"
_AT_ONCE = 16


class Judge(NamedTuple):
    """The files that judge coarse maps; the second is there if proposals are judged too.

    cells      | (N, 13, 13, K) | int64  | pixels of each true class in each cell
    soft       | (rows, 13, 13, K) float32 | each proposal on the coarse grid
    groups     | (rows,) int64, confusions (rows, K, K) int32 | of the proposals
    """

    cells: Path
    soft: Path
    rows: Path

    def naive(self, coarse: np.ndarray) -> Confusion:
        """The confusion of naive upsampling, exactly that of its label maps: a cell's argmax is all its pixels'.

        coarse | (N, 13, 13, K) | floating |
        """
        cells = self.cell_counts()
        labels = coarse.argmax(axis=3).ravel()  # (N 169,)
        confusion = Confusion(cells.shape[3])
        np.add.at(confusion.matrix.T, labels, cells.reshape(-1, cells.shape[3]))
        return confusion

    def eq17_rows(self, coarse: np.ndarray, *, eps: float, background_weight: float) -> np.ndarray:
        """The row of the val table that Eq. 17 picks for each image, (N,) int64."""
        soft, groups = self.soft_proposals(), self.proposals()["groups"]
        scores = np.empty(len(groups))
        for image, own in enumerate(coarse):
            rows = np.flatnonzero(groups == image)
            options = {"eps": eps, "background_weight": background_weight}
            scores[rows] = proposal_distance(own, soft[rows[0] : rows[-1] + 1], **options)
        return pick(-scores, groups)

    def eq17(self, coarse: np.ndarray, *, eps: float, background_weight: float) -> Confusion:
        """The confusion of what Eq. 17 picks."""
        rows = self.eq17_rows(coarse, eps=eps, background_weight=background_weight)
        return total(self.proposals()["confusions"][rows])

    def cell_counts(self) -> np.ndarray:
        """Pixels of each true class in each cell, (N, 13, 13, K) int64."""
        return read_array(self.cells, mapped=True)

    def soft_proposals(self) -> np.ndarray:
        """The proposals on the coarse grid, (rows, 13, 13, K) float32, read as they are used."""
        return read_array(self.soft, mapped=True)

    def proposals(self) -> dict[str, np.ndarray]:
        """Groups and confusions of the proposals."""
        return load_once(read_arrays, self.rows)


def make_judge(run: Run, *, proposals: bool) -> Judge:
    """Compute what a judge needs, unless it is there."""
    folder, truth = run.folder(FOLDER) / "judge", run.content("data/val.json")[:16]
    rows = f"{truth}-{run.content('described')[:16]}"  # another state of the run gets files of its own
    judge = Judge(folder / f"cells-{truth}.npy", folder / f"soft-{rows}.npy", folder / f"rows-{rows}.safetensors")
    members = images_of(run, "val")
    chunks = [members[i : i + _AT_ONCE] for i in range(0, len(members), _AT_ONCE)]
    if not judge.cells.is_file():
        write_array(judge.cells, np.concatenate(list(parallel_map(_cells, chunks, jobs=run.jobs))))
    if proposals and not judge.soft.is_file():
        held = described(run, "val")
        groups, confusions = held.table.groups, held.confusions
        write_arrays(judge.rows, {"groups": groups, "confusions": confusions})
        with (
            run.progress.count("images whose proposals are read", len(members)) as advance,
            atomic_write(judge.soft) as stream,
        ):
            shape = (len(groups), 13, 13, NUM_CLASSES)
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for chunk, part in zip(chunks, parallel_map(_soft, chunks, jobs=run.jobs, on_cluster=False), strict=True):
                stream.write(part.astype("<f4").tobytes())
                advance(len(chunk))
    return judge


def _cells(images: list[ImageOfRun]) -> np.ndarray:
    """Count the pixels of each class in the cells of some images, (n, 13, 13, K)."""
    return np.concatenate([tile_counts(image.labels()[None], (13, 13), NUM_CLASSES) for image in images])


def _soft(images: list[ImageOfRun]) -> np.ndarray:
    """Bring the proposals of some images to the coarse grid, (m, 13, 13, K)."""
    proposals = store(images[0].run, "val")
    return np.concatenate([soft_targets_many(proposals.read(image.name)[0])[0] for image in images])
