"""What is done once for every pixel: SLIC, superpixel upsampling, confusion matrices, soft targets; against peers.

    python tests/benchmarks/pixels.py                       drawn scenes of 375 x 500 pixels or fewer
    python tests/benchmarks/pixels.py --voc DIR             photographs of PASCAL VOC, DIR holding JPEGImages/

Contenders take turns, in another order each time; in its turn each works through all the images, as a program does that
counts over a data set, so what a call costs before its code is in a cache again counts once a turn. (With a turn an
image, the confusion matrix takes 1.7 times as long here, a tenth longer by NumPy: 3.2 times ours in place of 5.) Each
runs on one thread, and "two threads" takes an image on each. Prints the median and the least over all turns of the time
for an image, the medians as multiples of the first contender's, and how much memory the process took at most beyond
what it had (Linux only). OpenCV's SLIC, fast-slic, torchmetrics and scikit-learn are there where they are installed.
With --voc, how well the SLICs follow the borders of all val images stands at the end.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from scipy.sparse import coo_array
from superpixel_quality import best_labels, boundary_recall, undersegmentation_error
from threadpoolctl import threadpool_limits

from tinysegrank.metrics import Confusion
from tinysegrank.parallel import keep_freed_memory
from tinysegrank.reporting import Column, Table
from tinysegrank.superpixels import slic
from tinysegrank.upsampling import superpixel
from tinysegrank.voc import NUM_CLASSES, VOID, VOCSegmentation, make_toy_voc, soft_targets_many, tile_index

GRID, PROPOSALS = (13, 13), 30


class Contender(NamedTuple):
    """A way to do a task, and whether its result must be that of the first contender."""

    name: str
    function: Callable[[Any], Any]
    same: bool = True


def readable(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the readable version of a function that has a Numba version."""

    def call(item: Any) -> Any:
        os.environ["TINYSEGRANK_ACCELERATE"] = "0"
        try:
            return function(item)
        finally:
            del os.environ["TINYSEGRANK_ACCELERATE"]

    return call


# Contenders ----------------------------------------------------------------------------------------------------------


def slic_contenders(segments: int) -> list[Contender]:
    def integer(image: np.ndarray) -> np.ndarray:
        return slic(image, segments=segments, method="integer")

    found = [
        Contender("integer, numba", integer),
        Contender("integer, readable", readable(integer)),
        Contender("scikit-image", lambda image: slic(image, segments=segments, method="scikit-image"), same=False),
    ]
    if find_spec("cv2"):
        import cv2

        if hasattr(cv2, "ximgproc"):  # in opencv-contrib only
            cv2.setNumThreads(1)

            def opencv(image: np.ndarray) -> np.ndarray:
                lab = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 1.0), cv2.COLOR_RGB2LAB)
                size = round(np.sqrt(image.shape[0] * image.shape[1] / segments))
                pixels = cv2.ximgproc.createSuperpixelSLIC(lab, cv2.ximgproc.SLIC, size, 20.0)
                pixels.iterate(10)
                pixels.enforceLabelConnectivity(25)
                return pixels.getLabels()

            found.append(Contender("OpenCV", opencv, same=False))
    if find_spec("fast_slic"):
        from fast_slic.avx2 import SlicAvx2

        def fast_slic(image: np.ndarray) -> np.ndarray:
            clusters = SlicAvx2(num_components=segments, compactness=20)
            clusters.num_threads = 1
            return clusters.iterate(image)

        found.append(Contender("fast-slic, AVX2", fast_slic, same=False))
    return found


def upsampling_contenders() -> list[Contender]:
    def joint_count(item: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The fastest way we know with NumPy alone; it checks nothing."""
        coarse, superpixels = item
        cells = GRID[0] * GRID[1]
        joint = np.multiply(superpixels, cells, dtype=np.intp)
        joint += tile_index(superpixels.shape[0], GRID[0])[:, None] * GRID[1] + tile_index(
            superpixels.shape[1], GRID[1]
        )
        pixels = np.bincount(joint.ravel(), minlength=(superpixels.max() + 1) * cells).reshape(-1, cells)
        label = (pixels.astype(np.float32) @ coarse.reshape(cells, -1)).argmax(axis=1).astype(np.uint8)
        return label[superpixels]

    def sparse(item: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        coarse, superpixels = item
        (H, W), cells = superpixels.shape, GRID[0] * GRID[1]
        cell = tile_index(H, GRID[0])[:, None] * GRID[1] + tile_index(W, GRID[1])
        ones = np.ones(superpixels.size, np.float32)
        table = coo_array((ones, (superpixels.ravel(), cell.ravel())), shape=(superpixels.max() + 1, cells)).tocsr()
        return (table @ coarse.reshape(cells, -1)).argmax(axis=1).astype(np.uint8)[superpixels]

    def by_superpixel(item: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return superpixel(*item)

    return [
        Contender("numba", by_superpixel),
        Contender("readable", readable(by_superpixel)),
        Contender("best of NumPy", joint_count),
        Contender("scipy.sparse", sparse),
    ]


def confusion_contenders() -> list[Contender]:
    def joint_count(item: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The fastest way we know with NumPy alone: void gets rows of its own; it checks nothing."""
        truth, labels = item
        joint = truth.astype(np.uint16)
        joint *= NUM_CLASSES
        joint += labels
        return np.bincount(joint.ravel(), minlength=NUM_CLASSES**2)[: NUM_CLASSES**2].reshape(NUM_CLASSES, -1)

    def update(item: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return Confusion().update(*item).matrix

    found = [
        Contender("numba", update),
        Contender("readable", readable(update)),
        Contender("best of NumPy, values not checked", joint_count),
    ]
    if find_spec("sklearn"):
        from sklearn.metrics import confusion_matrix

        def scikit_learn(item: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
            known = item[0] != VOID
            return confusion_matrix(item[0][known], item[1][known], labels=np.arange(NUM_CLASSES))

        found.append(Contender("scikit-learn", scikit_learn))
    if find_spec("torch") and find_spec("torchmetrics"):
        import torch
        from torchmetrics.classification import MulticlassConfusionMatrix

        torch.set_num_threads(1)
        metric = MulticlassConfusionMatrix(NUM_CLASSES, ignore_index=VOID)

        def torchmetrics(item: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
            metric.reset()
            truth, labels = (torch.from_numpy(array.astype(np.int64)) for array in item)
            metric.update(labels, truth)
            return metric.compute().numpy()

        found.append(Contender("torchmetrics", torchmetrics))
    return found


def target_contenders() -> list[Contender]:
    def targets(proposals: np.ndarray) -> np.ndarray:
        return soft_targets_many(proposals, void=None)[0]

    return [Contender("numba", targets), Contender("readable", readable(targets))]


# Measuring -----------------------------------------------------------------------------------------------------------


def peak_memory(function: Callable[[Any], Any], item: Any) -> float:
    """Megabytes that a call takes at most, beyond what the process has; NaN where Linux is not there to say."""

    def resident(line: str) -> float:
        status = Path("/proc/self/status").read_text()
        return float(status.split(line)[1].split()[0]) / 1024

    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # so that freed memory does not count as there already
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak to the present size
    except OSError:
        return float("nan")
    before = resident("VmRSS:")
    kept = function(item)
    peak = resident("VmHWM:")
    del kept
    return peak - before


def two_threads(function: Callable[[Any], Any], items: list[Any], alone: float) -> float:
    """Seconds for an item if two threads take every other one, over a tenth of a second; `alone`: seconds by one."""
    repeats = 1 + int(0.2 / (alone * len(items)))  # fewer, and the start of the threads would count
    halves = items[::2] * repeats, items[1::2] * repeats
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda half: function(half[0]), halves))
        started = time.perf_counter()
        list(pool.map(lambda half: [function(item) for item in half], halves))
        return (time.perf_counter() - started) / sum(map(len, halves))


def compare(title: str, contenders: list[Contender], items: list[Any], turns: int) -> Table:
    """Check that results agree, time all contenders in turns, and make the table."""
    for contender in contenders:
        result = contender.function(items[0])  # loads and compiles too
        if contender.same:
            expected = contenders[0].function(items[0])
            np.testing.assert_allclose(result, expected, rtol=1e-6, err_msg=contender.name)
    seconds, both = np.empty((turns, len(contenders))), np.empty(turns)
    order = np.random.default_rng(0)
    for turn in range(turns):
        for c in order.permutation(len(contenders)):
            started = time.perf_counter()
            for item in items:
                contenders[c].function(item)
            seconds[turn, c] = (time.perf_counter() - started) / len(items)
        both[turn] = two_threads(contenders[0].function, items, seconds[turn, 0])
    medians, least = 1e3 * np.median(seconds, axis=0), 1e3 * seconds.min(axis=0)
    rows: list[tuple[str | float | None, ...]] = [
        (contender.name, medians[c], least[c], medians[c] / medians[0], peak_memory(contender.function, items[0]))
        for c, contender in enumerate(contenders)
    ]
    at_once = 1e3 * np.median(both)
    rows.insert(1, (f"{contenders[0].name}, two threads", at_once, 1e3 * both.min(), at_once / medians[0], None))
    columns = (
        Column("contender"), Column("ms, median", ".3f"), Column("ms, least", ".3f"), Column("times the first", ".2f"),
        Column("peak MB"),
    )  # fmt: skip
    return Table(title, columns, tuple(rows))


def read_images(root: Path | None, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Photographs of 375 x 500 pixels with their label maps; or scenes of at most that size."""
    with tempfile.TemporaryDirectory() as folder:
        if root is None:
            split = make_toy_voc(folder, train=count, val=1, seed=0, size=(375, 500)).train
            return [(split.image(number), split.labels(number)) for number in range(count)]
        split, found = VOCSegmentation(root, "val"), []
        for number in range(len(split)):
            if len(found) < count and (labels := split.labels(number)).shape == (375, 500):
                found.append((split.image(number), labels))
        return found


def judge_slic(split: VOCSegmentation, segments: int) -> Table:
    """Quality of superpixels over a split, and the corpus IoU of their best labelling."""
    ways: dict[str, dict[str, Any]] = {
        "integer": {"method": "integer"},
        "scikit-image": {"method": "scikit-image"},
        "scikit-image, compactness 10, not smoothed": {
            "method": "scikit-image",
            "compactness": 10.0,
            "smoothing": 0.0,
        },
    }
    rows = []
    for name, options in ways.items():
        total, measured = Confusion(), []
        for number in range(len(split)):
            truth = split.labels(number)
            found = slic(split.image(number), segments=segments, **options)
            total.update(truth, best_labels(found, truth))
            errors = boundary_recall(found, truth), undersegmentation_error(found, truth)
            measured.append((found.max() + 1, *errors))
        rows.append((name, *np.nanmean(measured, axis=0).tolist(), total.mean_iou().value))
    formats = {"superpixels": ".0f", "boundary recall": ".3f", "undersegmentation error": ".4f"}
    columns = (Column("SLIC"), *(Column(*one) for one in formats.items()), Column("IoU of the best labelling", ".3f"))
    return Table(f"Superpixels of {len(split)} images", columns, tuple(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voc", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--segments", type=int, default=300)
    asked = parser.parse_args()
    os.environ.pop("TINYSEGRANK_ACCELERATE", None)
    keep_freed_memory()  # without it NumPy's time is mostly that of clearing pages, and far longer
    images = read_images(asked.voc, asked.images)
    rng = np.random.default_rng(0)
    coarse = rng.dirichlet(np.full(NUM_CLASSES, 0.2), GRID).astype(np.float32)  # (13, 13, K)
    superpixels = [(coarse, slic(image, segments=asked.segments, method="integer")) for image, _ in images]
    known = [np.where(truth == VOID, 0, truth) for _, truth in images]
    shifts = rng.integers(-20, 20, (PROPOSALS, 2))
    proposals = [np.stack([np.roll(labels, shift, (0, 1)) for shift in shifts]) for labels in known]
    pairs = [(truth, labels[0]) for (_, truth), labels in zip(images, proposals, strict=True)]

    console = Console(width=110)
    with threadpool_limits(limits=1):
        for title, contenders, items, turns in (
            (f"SLIC, {asked.segments} segments", slic_contenders(asked.segments), [i for i, _ in images], asked.turns),
            ("Superpixel upsampling", upsampling_contenders(), superpixels, 5 * asked.turns),
            ("Confusion matrix", confusion_contenders(), pairs, 5 * asked.turns),
            (f"Soft targets of {PROPOSALS} proposals", target_contenders(), proposals, asked.turns),
        ):
            console.print(compare(f"{title}, {len(items)} images", contenders, items, turns).to_rich())
    if asked.voc:
        console.print(judge_slic(VOCSegmentation(asked.voc, "val"), asked.segments).to_rich())


if __name__ == "__main__":
    main()
