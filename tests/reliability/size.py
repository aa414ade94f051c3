"""Measure the memory of the steps that read a table of all images, and what they need at the size of VOC and SBD.

    python -m tests.reliability.size --jobs 2

runs each step on made-up tables (21 classes, 30 proposals, 160 rows of segments and 600 superpixels per image) of 500,
1,000 and 1,500 images, in a process of its own. It samples the sum of PSS, memory with each page that processes share
counted once, over all processes of the step, fits a line, and prints the bytes per image and what the line gives for
12,031 images. `--images 12031 --steps ranker` runs steps at one size instead; the regressors need 8 GB of disk then.

The suite runs the short form, `test_reliability_size.py`, which counts NumPy's allocations at two small sizes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from joblib.externals.loky import get_reusable_executor

FULL = 12_031  # images of VOC 2012 and SBD
LIMIT = 4e9  # bytes that a step may take, all its processes together
SIZES = (500, 1000, 1500)
CLASSES, PROPOSALS, SEGMENT_ROWS, SUPERPIXELS = 21, 30, 160, 600  # the last two of an image and its mirror image
FILES = 20  # images that have files of their own; the others share theirs


class Shape(NamedTuple):
    """Columns of the made-up tables; the defaults are those of the network and the features in full."""

    features: tuple[int, ...] = (86, 100, 1107)
    segments: int = 1024
    superpixels: int = 1024
    descriptors: int = 4096


def in_blocks(path: Path, rows: int, columns: int, kind: str, rng: np.random.Generator) -> None:
    """Write a file of random rows, the same few thousand again and again."""
    block = rng.standard_normal((4096, columns)).astype(kind)
    if kind == "f4" and columns == CLASSES:
        block = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, 4096)]
    with path.open("wb") as stream:
        for start in range(0, rows, len(block)):
            stream.write(block[: rows - start].tobytes())


def table_of(folder: Path, images: int, shape: Shape) -> tuple[Any, Any]:
    """Return a table on disk and its confusions."""
    from tinysegrank.files import write_arrays
    from tinysegrank.ranking import FeatureTable, StoredTable
    from tinysegrank.stored_rows import StoredRows

    rng, columns = np.random.default_rng(0), {}
    for number in range(FILES):
        blocks = {}
        for block, width in zip("abc", shape.features, strict=False):
            columns[block] = tuple(f"{block} {column}" for column in range(width))
            blocks[block] = (columns[block], rng.standard_normal((PROPOSALS, width)))
        FeatureTable.of_image(f"{number}", blocks, rng.random(PROPOSALS)).save(folder / f"{number}.features")
        pixels = rng.integers(0, 99, (PROPOSALS, CLASSES, CLASSES)).astype(np.int32)
        write_arrays(folder / f"{number}.scores", {"confusions": pixels})
    files = [folder / f"{number % FILES}.features" for number in range(images)]
    held = [FeatureTable.load(folder / f"{number}.features", columns) for number in range(FILES)]
    quality = np.concatenate([held[number % FILES].quality for number in range(images)])
    groups, proposals = np.repeat(np.arange(images), PROPOSALS), np.tile(np.arange(PROPOSALS), images)
    table = StoredTable(tuple(map(str, range(images))), groups, proposals, quality, columns, tuple(files))
    read = partial(confusions_of, folder)
    return table, StoredRows(read, np.full(images, PROPOSALS), read(0))


def confusions_of(folder: Path, number: int) -> np.ndarray:
    """Read the confusions of one image of `table_of`."""
    from tinysegrank.files import read_arrays

    return read_arrays(folder / f"{number % FILES}.scores")["confusions"]


def ranker(folder: Path, images: int, jobs: int, shape: Shape) -> Callable[[], object]:
    """Prepare the fit of the ranker."""
    from tinysegrank.ranking import fit_ranker

    table, confusions = table_of(folder, images, shape)
    return lambda: fit_ranker(table, confusions, grid=(1e-7,), splits=5, jobs=jobs)


def evidence(folder: Path, images: int, jobs: int, shape: Shape) -> Callable[[], object]:
    """Prepare what evidence holds of val: all confusions, and a ranker's scores."""
    from tinysegrank.ranking import Ranker

    table, confusions = table_of(folder, images, shape)
    names = table.names()
    weights = np.ones((3, len(names)))
    return lambda: (np.asarray(confusions), Ranker(tuple(table.columns), names, *weights).scores(table))


def regressors(folder: Path, images: int, jobs: int, shape: Shape) -> Callable[[], object]:
    """Prepare the fits of the regressors of segments."""
    from tinysegrank.experiment import named_settings
    from tinysegrank.experiment.proposers import paste
    from tinysegrank.files import write_arrays

    proposer, settings = paste.PasteProposer(), named_settings("quick")
    rows, rng = images * SEGMENT_ROWS, np.random.default_rng(0)
    path, rest = files = [folder / name for name in proposer.files]
    in_blocks(path, rows, shape.segments, "f4", rng)
    targets = np.zeros((rows, CLASSES - 1), np.float32)
    good = rng.random(rows) < 0.1
    targets[good, rng.integers(0, CLASSES - 1, good.sum())] = rng.random(good.sum())
    write_arrays(rest, {"targets": targets, "images": np.repeat(np.arange(images), SEGMENT_ROWS)})
    fit = partial(proposer._fit, settings, np.full(images, -2), files, folder)  # no fold is left out
    return partial(at_once, partial(_regress, fit), list(range(jobs)), 6 * targets.nbytes + paste._HELD)


def _regress(fit: Callable[[int], None], job: int) -> None:
    from tinysegrank.proposals.o2p import scorer, support_vectors

    with patch.object(scorer, "fit_regressions", partial(support_vectors.fit_regressions, max_iter=2)):
        fit(job)


def superpixels(folder: Path, images: int, jobs: int, shape: Shape) -> Callable[[], object]:
    """Prepare the fits of the classifiers of superpixels."""
    from tinysegrank.experiment import named_settings
    from tinysegrank.experiment.proposers import crf
    from tinysegrank.files import write_arrays

    rows, rng = images * SUPERPIXELS, np.random.default_rng(0)
    proposer = crf.CrfProposer()
    path, beside, rest = files = [folder / name for name in proposer.files]
    in_blocks(path, rows, shape.superpixels, "f2", rng)
    in_blocks(beside, rows, CLASSES, "f4", rng)
    view = np.repeat(np.arange(2 * images), SUPERPIXELS // 2)
    shared, weights = np.zeros((2 * images, shape.superpixels), np.float32), rng.integers(0, 999, rows)
    write_arrays(rest, {"shared": shared, "weights": weights, "views": view, "images": view // 2})
    fit = partial(proposer._fit, named_settings("quick"), np.full(images, -2), files, folder)  # no fold is left out
    return partial(at_once, partial(_classify, fit), list(range(jobs)), 5 * rest.stat().st_size + crf._HELD)


def _classify(fit: Callable[[int], None], job: int) -> None:
    from tinysegrank.experiment.proposers import crf
    from tinysegrank.proposals import SuperpixelClassifier

    with patch.object(crf, "SuperpixelClassifier", partial(SuperpixelClassifier, sample=2000)):
        fit(job)


def classifiers(folder: Path, images: int, jobs: int, shape: Shape) -> Callable[[], object]:
    """Prepare the fits of the classifiers of images; fc7 after ReLU is 0 in most places."""
    from tinysegrank.experiment.stages import classifiers as stage

    rng, width = np.random.default_rng(0), shape.descriptors
    found = np.lib.format.open_memmap(stage._descriptors(folder, "train"), "w+", np.float32, (2 * images, width))
    for start in range(0, 2 * images, 256):
        some = np.maximum(rng.standard_normal((len(found[start : start + 256]), width)) - 0.5, 0)
        found[start : start + 256] = some / np.linalg.norm(some, axis=1, keepdims=True)
    size = stage._PEAK * found.nbytes
    del found
    shares = np.zeros((images, CLASSES - 1))
    shares[::3, 0] = 0.5  # one class and its sizes are learnt: memory is that of one SVM
    fit = partial(stage._fit, folder, shares, np.full(images, -2), 1.0)  # no fold is left out
    return partial(at_once, fit, list(range(jobs)), size)


def at_once(function: Callable[[Any], None], tasks: list[Any], size: int) -> None:
    """Do tasks as `experiment.tasks.do_missing` does."""
    from tinysegrank.parallel import jobs_that_fit, parallel_map

    list(parallel_map(function, tasks, jobs=jobs_that_fit(len(tasks), size)))


STEPS = {
    "ranker": ranker,
    "evidence": evidence,
    "regressors": regressors,
    "superpixels": superpixels,
    "classifiers": classifiers,
}


def pss(process: int) -> int:
    """Return the sum of PSS of a process and all that it started, in bytes."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended
            continue
        parents.setdefault(parent, []).append(int(path.parent.name))
    total, left = 0, [process]
    while left:
        left += parents.get(one := left.pop(), [])
        try:
            total += 1024 * int(re.findall(r"^Pss: *(\d+)", Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)[0])
        except (OSError, IndexError):
            continue
    return total


def _step(name: str, folder: Path, images: int, jobs: int, ready: Any, begin: Any) -> None:
    work = STEPS[name](folder, images, jobs, Shape())
    ready.set()
    begin.wait()
    work()
    get_reusable_executor().shutdown()  # otherwise its workers are waited for until they have been idle for minutes


def peak(name: str, images: int, jobs: int, place: Path | None) -> int:
    """Return the largest sum of PSS, in bytes, while a step runs."""
    with tempfile.TemporaryDirectory(prefix="tinysegrank-size-", dir=place) as folder:
        context = multiprocessing.get_context("spawn")
        ready, begin, done, seen = context.Event(), context.Event(), threading.Event(), [0]
        process = context.Process(target=_step, args=(name, Path(folder), images, jobs, ready, begin))
        process.start()

        def watch() -> None:
            while not done.wait(0.05):
                seen[0] = max(seen[0], pss(process.pid or 0))

        while not ready.wait(0.2):
            if not process.is_alive():
                raise SystemExit(f"{name}: its tables could not be made")
        watcher = threading.Thread(target=watch)
        watcher.start()
        begin.set()
        process.join()
        done.set()
        watcher.join()
        if process.exitcode:
            raise SystemExit(f"{name}: ended with exit code {process.exitcode}")
        return seen[0]


def line(sizes: list[int], peaks: list[int]) -> tuple[float, float]:
    """Return the bytes per image, and the bytes at FULL images, of the line through the peaks."""
    slope, start = np.polyfit(sizes, peaks, 1)
    return float(slope), float(start + slope * FULL)


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="worker processes (2)")
    parser.add_argument("--images", type=int, nargs="*", default=SIZES, help="numbers of images (500 1000 1500)")
    parser.add_argument(
        "--steps", nargs="*", choices=STEPS, default=list(STEPS), help="the steps to run; all by default"
    )
    parser.add_argument("--folder", type=Path, help="folder for the tables; that of temporary files by default")
    asked = parser.parse_args()
    over = []
    for name in asked.steps:
        peaks = [peak(name, images, asked.jobs, asked.folder) for images in asked.images]
        said = ", ".join(f"{of / 1e6:,.0f} MB" for of in peaks)
        largest = float(max(peaks))
        if len(peaks) > 1:
            slope, largest = line(list(asked.images), peaks)
            said += f"; {slope / 1e3:,.0f} kB per image, {largest / 1e6:,.0f} MB at {FULL:,} images"
        print(f"{name}: {said}", flush=True)
        if largest > LIMIT:
            over.append(name)
    if over:
        raise SystemExit(f"over {LIMIT / 1e9:g} GB: {', '.join(over)}")


if __name__ == "__main__":
    from tests.reliability import size  # under this name worker processes find its functions

    size.main()
