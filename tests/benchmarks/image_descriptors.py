"""What image classifiers see best: conv5's mean, its maxima on a grid of 6 x 6, and fc7 where the weight file has it.

    python tests/benchmarks/image_descriptors.py runs/voc

takes a run whose stage "features" is done. SVMs for the presence of each class with at least 25 training images are
fitted on two thirds of the training images; prints the mean over these classes of the average precision on the others,
by the C of the SVMs, and the seconds of a fit.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

from tinysegrank.experiment import Silent, images
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.stages import features
from tinysegrank.nn import max_pool2d
from tinysegrank.parallel import one_blas_thread
from tinysegrank.ranking import ImageClassifier, class_shares, image_descriptors, load_fully_connected

FEWEST = 25


def pooled(maps: np.ndarray) -> np.ndarray:
    """conv5 as fc6 would take it, to length 1: (N, 36 C)."""
    values = max_pool2d(maps.astype(np.float32))[0].reshape(len(maps), -1)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--C", type=float, nargs="+", default=[0.1, 1.0, 10.0])
    asked = parser.parse_args()
    run = read_run(asked.run, jobs=1, progress=Silent())
    split, store = images.open_split(run.settings, "train"), features.store(run, "train")
    count = len(split.names)
    shares = np.concatenate([class_shares(split.labels(i)[None]) for i in range(count)])  # (N, K-1)
    held_out = np.random.default_rng(0).permutation(count) % 3 == 0
    maps = store.gather("features", store.rows_of(np.arange(count))[:: 2 if store.mirrors else 1])
    described = {"mean of conv5": image_descriptors(maps), "conv5 max-pooled to 6 x 6": pooled(maps)}
    weights = run.settings.trunk.weights
    if weights and (layers := load_fully_connected(weights)) is not None:
        described["fc7"] = image_descriptors(maps, layers)
    present = shares[:, (shares > 0).sum(axis=0) >= FEWEST] > 0
    print(f"{count} images, {held_out.sum()} held out, {present.shape[1]} classes")
    print("| descriptor | length | C | mean average precision | seconds a fit |\n|---|---:|---:|---:|---:|")
    for name, values in described.items():
        for C in asked.C:
            started = time.perf_counter()
            # With shares of 0 and 1 the sizes of a class are its presence: five equal SVMs a class.
            fit = partial(ImageClassifier.fit, C=C)
            fitted = one_blas_thread(fit, values[~held_out], present[~held_out].astype(float))
            seconds = (time.perf_counter() - started) / len(fitted.weights)
            scores = fitted.scores(values[held_out])
            precision = [average_precision_score(present[held_out, k], scores[:, k]) for k in range(present.shape[1])]
            print(f"| {name} | {values.shape[1]} | {C:g} | {np.mean(precision):.3f} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
