"""How long the features of a proposal take, block by block, on one core.

    python tests/benchmarks/feature_blocks.py VOCdevkit/VOC2012 --images 40 --count 10

takes images of val. Proposals are those of a store (--proposals RUN/proposals/val) or, without one, labellings of SLIC
superpixels by the truth, more and more of them wrong. What SegNet and the classifiers say is drawn: time does not
depend on it. Prints, of the medians over images, milliseconds a proposal and the share of each step; what is done once
an image is divided by the number of its proposals. The least over images is printed too, for a machine that is busy.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from tinysegrank.proposals import ProposalStore
from tinysegrank.proposals.o2p.cpmc import edge_map
from tinysegrank.ranking import ImageProposals, class_shares, describe
from tinysegrank.ranking.features.chamfer import boundary_pixels, chamfer_features, image_edges
from tinysegrank.ranking.features.classification import classification_features
from tinysegrank.ranking.features.rerank import class_moments, pair_features, summary_features
from tinysegrank.ranking.features.segnet import segnet_features
from tinysegrank.superpixels import slic
from tinysegrank.voc import VOID, VOCSegmentation, soft_targets_many

ALL = "all blocks by one call"


class Watch:
    """Milliseconds of each step, image by image."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(list)

    def time(self, step: str, count: int, function: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = function()
        self.spent[step].append(1e3 * (time.perf_counter() - started) / count)
        return result


def made_up(image: np.ndarray, truth: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Labellings (M, H, W) of superpixels; in the m-th, m in a hundred of them have another class of the image."""
    superpixels = slic(image)
    number = int(superpixels.max()) + 1
    known = np.where(truth == VOID, 0, truth)
    best = np.bincount((superpixels * 256 + known).ravel(), minlength=256 * number).reshape(-1, 256).argmax(axis=1)
    others = np.unique(best)
    return np.stack(
        [np.where(rng.random(number) < m / 100, rng.choice(others, number), best)[superpixels] for m in range(count)]
    ).astype(np.uint8)


def measure(watch: Watch, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
    """Time every step on one image, and all of them together."""
    M, (height, width) = len(labels), image.shape[:2]
    coarse = rng.dirichlet(np.full(21, 0.2), (13, 13)).astype(np.float32)
    scores, thresholds = rng.normal(size=100), np.sort(rng.random((20, 4)), axis=1)
    options = {"classifier_scores": scores, "size_thresholds": thresholds, "scores": np.zeros(M)}
    watch.time(ALL, M, lambda: describe(ImageProposals(image, coarse, labels, **options)))

    soft, _ = watch.time("1 down-sampling", M, lambda: soft_targets_many(labels, void=None))
    watch.time("1 SegNet", M, lambda: segnet_features(coarse, soft))
    shares = watch.time("2 shares of classes", M, lambda: class_shares(labels))
    watch.time("2 classification", M, lambda: classification_features(scores, thresholds, shares))
    edges = watch.time("3 edge map, once an image", M, lambda: edge_map(image))
    counts, centroids = watch.time("3 areas and centroids", M, lambda: class_moments(labels, num_classes=21))
    watch.time("3 pairs", M, lambda: pair_features(counts, centroids, height=height, width=width))
    between, around = watch.time("3 boundaries", M, lambda: (boundary_pixels(labels), boundary_pixels(labels > 0)))
    known = watch.time("3 nearest edges, once an image", M, lambda: image_edges(edges, between.any(axis=0)))
    watch.time("3 chamfer, segments", M, lambda: [chamfer_features(known, one) for one in between])
    differing = [one for one, other in zip(around, between, strict=True) if not np.array_equal(one, other)]
    watch.time("3 chamfer, objects", M, lambda: [chamfer_features(known, one) for one in differing])
    watch.time("3 scores and segments", M, lambda: summary_features(counts, np.zeros(M)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voc", type=Path)
    parser.add_argument("--proposals", type=Path)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--count", type=int, default=10)
    asked = parser.parse_args()
    split = VOCSegmentation(asked.voc, "val")
    chosen = np.linspace(0, len(split) - 1, min(asked.images, len(split))).astype(int)
    rng, sizes = np.random.default_rng(0), []
    watch = Watch()
    with threadpool_limits(limits=1):
        for number, i in enumerate([chosen[0], *chosen]):  # the first one twice: compiling and loading do not count
            sample = split[int(i)]
            if asked.proposals:
                labels = ProposalStore(asked.proposals).read(sample.name)[0][: asked.count]
            else:
                labels = made_up(sample.image, sample.labels, asked.count, rng)
            measure(watch if number else Watch(), sample.image, labels, rng)
            sizes.append(sample.image.shape[:2])
    steps = {step: (float(np.median(spent)), min(spent)) for step, spent in watch.spent.items()}
    total, least = (sum(times[which] for step, times in steps.items() if step != ALL) for which in (0, 1))
    print(f"{len(chosen)} images, {asked.count} proposals each, median size {np.median(sizes, axis=0)}")
    print("| step | ms a proposal, median | share | ms, least |\n|---|---:|---:|---:|")
    for step, (median, fastest) in steps.items():
        if step != ALL:
            print(f"| {step} | {median:.2f} | {median / total:.0%} | {fastest:.2f} |")
    print(
        f"| sum of the steps | {total:.2f} | | {least:.2f} |\n| {ALL} | {steps[ALL][0]:.2f} | | {steps[ALL][1]:.2f} |"
    )


if __name__ == "__main__":
    main()
