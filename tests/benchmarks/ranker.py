"""The ranking SVM against scikit-learn's LinearSVC on explicit differences of pairs: time, peak memory, the objective.

    python tests/benchmarks/ranker.py                                   # 1500 images x 30 proposals x 2000 features
    python tests/benchmarks/ranker.py --size 50 10 200 --repeats 1      # seconds

Both get the same float32 features, of few hidden factors and noise as features of segmentations are, and the same pairs
and weights, and minimise 0.5 |w|^2 + C sum_p c_p max(0, 1 - w . (x_better - x_worse))^2. Each fit is a process of its
own, in turn, on as many threads as BLAS takes; times are of the fit with all that it needs made (the differences, for
LinearSVC, whose features are balanced in sign so that there are two classes), the median of the repeats; memory is the
peak of resident memory of the process, with the features, which the caller keeps. Linux only, for the peak. Ends with
status 1 where the two objectives, computed in float64, differ by more than 1e-5 of their value.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from tinysegrank.reporting import Column, Table

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

ROWS = 2048  # at a time


def make(folder: Path, images: int, proposals: int, features: int, factors: int = 60, seed: int = 0) -> None:
    """Write standardised features, quality and groups: quality is a noisy function of some of the hidden factors."""
    rng = np.random.default_rng(seed)
    rows = images * proposals
    mixing = rng.standard_normal((factors, features)) / np.sqrt(np.arange(1, factors + 1))[:, None]
    scale = np.sqrt((mixing**2).sum(axis=0) + 0.25)
    direction = rng.standard_normal(factors) / np.sqrt(factors)
    X = np.lib.format.open_memmap(folder / "X.npy", mode="w+", dtype=np.float32, shape=(rows, features))
    quality = np.empty(rows)
    for start in range(0, rows, ROWS):
        hidden = rng.standard_normal((min(ROWS, rows - start), factors))
        noise = rng.standard_normal((len(hidden), features), dtype=np.float32)
        X[start : start + ROWS] = (hidden @ mixing + 0.5 * noise) / scale
        quality[start : start + ROWS] = hidden @ direction + rng.standard_normal(len(hidden))
    X.flush()
    np.save(folder / "quality.npy", 1 / (1 + np.exp(-quality)))
    np.save(folder / "groups.npy", np.repeat(np.arange(images), proposals))


def rank_svm(asked: argparse.Namespace) -> Fit:
    from tinysegrank.ranking import RankSVM

    return lambda X, quality, groups: RankSVM(C=asked.C).fit(X, quality, groups).coef_


def linear_svc(asked: argparse.Namespace) -> Fit:
    from sklearn.svm import LinearSVC

    from tinysegrank.ranking import ranking_pairs

    svc = LinearSVC(C=asked.C, loss="squared_hinge", fit_intercept=False, dual=asked.dual, tol=asked.peer_tol)

    def fit(X: np.ndarray, quality: np.ndarray, groups: np.ndarray) -> np.ndarray:
        better, worse, weights = ranking_pairs(quality, groups)
        sign = np.where(np.arange(len(better)) % 2, 1.0, -1.0)
        differences = np.empty((len(better), X.shape[1]))  # float64, which liblinear would make of them
        for start in range(0, len(better), ROWS):
            some = slice(start, start + ROWS)
            np.subtract(X[better[some]], X[worse[some]], out=differences[some])
            differences[some] *= sign[some, None]
        return svc.fit(differences, sign, sample_weight=weights).coef_[0]

    return fit


CONTENDERS = {"RankSVM": rank_svm, "LinearSVC": linear_svc}


def contend(name: str, folder: Path, asked: argparse.Namespace) -> None:
    """Fit, in this process, and print the figures; the coefficients go to a file."""
    X, quality, groups = (np.load(folder / f"{array}.npy") for array in ("X", "quality", "groups"))
    fit = CONTENDERS[name](asked)  # imports first, outside of the time
    wall, cpu = time.perf_counter(), time.process_time()
    w = fit(X, quality, groups)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    np.save(folder / f"{name}.npy", w)
    # not getrusage, whose peak begins at that of the process that started this one
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"wall": wall, "cpu": cpu, "mb": int(peak.split()[1]) / 1024}))


def objective(folder: Path, name: str, C: float) -> float:
    """The objective of a contender's coefficients, in float64."""
    from tinysegrank.ranking import ranking_pairs

    w = np.load(folder / f"{name}.npy")
    X = np.load(folder / "X.npy", mmap_mode="r")
    better, worse, weights = ranking_pairs(np.load(folder / "quality.npy"), np.load(folder / "groups.npy"))
    scores = np.concatenate([X[start : start + ROWS].astype(np.float64) @ w for start in range(0, len(X), ROWS)])
    return float(0.5 * w @ w + C * weights @ np.maximum(0, 1 - scores[better] + scores[worse]) ** 2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=(1500, 30, 2000), metavar=("IMAGES", "PROPOSALS", "D"))
    parser.add_argument("--C", type=float, default=0.01)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-tol", type=float, default=1e-4, help="LinearSVC's tol, its default")
    parser.add_argument("--dual", action="store_true", help="let LinearSVC solve the dual")
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        contend(asked.one[0], Path(asked.one[1]), asked)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, *asked.size)
        found: dict[str, list[dict[str, float]]] = {contender: [] for contender in CONTENDERS}
        for _ in range(asked.repeats):
            for contender in CONTENDERS:
                command = [sys.executable, __file__, *sys.argv[1:], "--one", contender, name]
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[contender].append(json.loads(answer.splitlines()[-1]))
        values = [objective(folder, contender, asked.C) for contender in CONTENDERS]
    medians = [{key: median(one[key] for one in of) for key in ("wall", "cpu", "mb")} for of in found.values()]
    rows = [
        (contender, *of.values(), f"{value:.9g}")
        for contender, of, value in zip(CONTENDERS, medians, values, strict=True)
    ]
    rows.append(
        ("ratio", *(medians[1][key] / medians[0][key] for key in ("wall", "cpu", "mb")), f"{values[1] / values[0]:.9g}")
    )
    columns = (
        Column("fit"),
        Column("seconds", ".2f"),
        Column("of CPU", ".2f"),
        Column("peak MB", ".1f"),
        Column("objective"),
    )
    size = " x ".join(map(str, asked.size))
    print(Table(f"Ranking SVM, {size}, C = {asked.C:g}", columns, tuple(rows)).to_markdown())
    return int(abs(values[1] - values[0]) > 1e-5 * min(values))


if __name__ == "__main__":
    sys.exit(main())
