"""Checks of the exercises of page 19, Fast upsampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from check.compare import close, exercise, require
from tinysegrank import voc


@exercise
def exercise_19_1(superpixels: np.ndarray) -> None:
    """Check superpixels (H, W), more than one, for which superpixel upsampling is the naive one for any network."""
    superpixels = np.asarray(superpixels)
    require(superpixels.ndim == 2 and len(np.unique(superpixels)) > 1, "give a number for each pixel of an image")
    rows, columns = (voc.tile_edges(length, 13) for length in superpixels.shape)
    cells: dict[int, set[tuple[int, int]]] = {}
    for r in range(13):
        for c in range(13):
            for s in np.unique(superpixels[rows[r] : rows[r + 1], columns[c] : columns[c + 1]]):
                cells.setdefault(int(s), set()).add((r, c))
    several = [s for s, within in cells.items() if len(within) > 1]
    require(not several, f"superpixel {several[:1]} lies in several cells, which may differ")


@exercise
def exercise_19_2(distributions: np.ndarray) -> None:
    """Check two classes' probabilities at the pixels of a superpixel, (2, 1000): float32 must choose wrongly."""
    distributions = np.asarray(distributions)
    require(distributions.shape == (2, 1000) and distributions.dtype == np.float32, "give float32 of shape (2, 1000)")
    single = np.zeros(2, np.float32)
    for pixel in distributions.T:
        single = single + pixel
    exact = distributions.astype(np.float64).sum(axis=1)
    require(exact[0] != exact[1], "the exact sums are equal, so neither class is wrong")
    require(single.argmax() != exact.argmax(), f"sums in float32 choose class {int(exact.argmax())}, the right one")


@exercise
def exercise_19_3(runs: float, length: float, scenes: Sequence[np.ndarray]) -> None:
    """Check the mean number of runs of a scene, and the mean length of a run, by a loop over the rows."""
    counts = []
    for superpixels in scenes:
        edges = set(voc.tile_edges(superpixels.shape[1], 13)[1:-1].tolist())
        ends = np.diff(superpixels, axis=1) != 0  # (H, W - 1): a run ends before column x + 1
        ends[:, [edge - 1 for edge in edges]] = True
        counts.append(ends.sum() + superpixels.shape[0])
    close(runs, np.mean(counts), "the runs of a scene", rtol=0.05)
    close(length, np.mean([s.size for s in scenes]) / np.mean(counts), "the pixels of a run", rtol=0.05)


@exercise
def exercise_19_4(confusion: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> None:
    """Check confusion(truth, labels, K) for flat arrays; classes of K and more in the truth are void."""
    rng = np.random.default_rng(1)
    for size in (7, 8, 1000):
        truth = np.repeat(rng.choice([0, 1, 2, 255], size), 3).astype(np.uint8)
        labels = np.repeat(rng.integers(0, 3, size), 3).astype(np.uint8)
        right = [[np.sum((truth == t) & (labels == k)) for k in range(3)] for t in range(3)]
        close(confusion(truth, labels, 3), right, f"the counts of {truth.size} pixels")
