"""The regressions of segments' overlaps: this library's Newton steps against scikit-learn's LinearSVR, on a run's rows.

    python tests/benchmarks/segment_regression.py runs/voc --images 500 --classes person,cat

takes a run whose stage "segments" is done. Each contender fits the same rows in a process of its own with one BLAS
thread; prints its seconds, the peak of its memory above that of the rows, and its value of the objective.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
from sklearn.svm import LinearSVR

from tinysegrank.experiment import Silent
from tinysegrank.experiment import images as run_data
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages.segments import read_rows
from tinysegrank.parallel import one_blas_thread
from tinysegrank.proposals.o2p.support_vectors import fit_regression
from tinysegrank.reporting import Column, Table
from tinysegrank.voc import CLASS_NAMES, parse_classes

C, EPSILON = 3.0, 0.25


def by_newton(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return fit_regression(X, y, C=C, epsilon=EPSILON).w


def by_liblinear(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    loss = "squared_epsilon_insensitive"
    return LinearSVR(loss=loss, C=C, epsilon=EPSILON, fit_intercept=False, dual=False).fit(X, y).coef_


SOLVERS = {"newton": by_newton, "liblinear": by_liblinear}


def contend(solver: str, path: Path, images: int, classes: tuple[int, ...]) -> tuple[float, float, float]:
    """Seconds, MiB and the sum of the objectives of one contender."""
    run = read_run(path, jobs=1, progress=Silent())
    rows = [read_rows(image) for image in run_data.images_of(run, "train")[:images]]
    X, targets = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    del rows
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, objective = time.perf_counter(), 0.0
    for k in classes:
        y = targets[:, k - 1].astype(np.float64)
        y -= y.mean()
        w = one_blas_thread(SOLVERS[solver], X, y)
        excess = np.maximum(np.abs(X @ w - y) - EPSILON, 0)
        objective += 0.5 * float(w @ w) + C * float(excess @ excess)
    seconds = time.perf_counter() - started
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, objective


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--classes", default="person,cat")
    asked = parser.parse_args()
    classes = parse_classes(asked.classes)
    columns = (Column("solver"), Column("seconds", ".1f"), Column("MiB more", ".0f"), Column("objective", ".4f"))
    rows = []
    for solver in SOLVERS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append((solver, *pool.apply(contend, (solver, asked.run, asked.images, classes))))
    names = ", ".join(CLASS_NAMES[k] for k in classes)
    print(Table(f"Regressions of {names} on {asked.images} images", columns, tuple(rows)).to_markdown())


if __name__ == "__main__":
    main()
