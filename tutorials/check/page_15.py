"""Checks of the exercises of page 15, PASCAL VOC in half an hour."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from check.compare import close, exercise, require


@exercise
def exercise_15_1(corpus: float, mean: float, corpus_large: float, mean_large: float) -> None:
    """Check corpus IoU and mean image IoU of a class in two images: 90/100 and 1/100, and then 900/1000 and 1/100."""
    for yours, images in (
        ((corpus, mean), [(90, 100), (1, 100)]),
        ((corpus_large, mean_large), [(900, 1000), (1, 100)]),
    ):
        counts = np.array(images, dtype=float)
        close(yours[0], np.divide(*counts.sum(axis=0)), f"the corpus IoU of {images}")
        close(yours[1], np.mean(counts[:, 0] / counts[:, 1]), f"the mean image IoU of {images}")


@exercise
def exercise_15_2(of_21: float, of_2: float) -> None:
    """Check the mean IoU of a labelling that is all background, with 73 % background, over 21 classes and over 2."""
    for yours, classes in ((of_21, 21), (of_2, 2)):
        truth = np.repeat(np.arange(classes), [7300, *[2700 // (classes - 1)] * (classes - 1)])
        right = np.mean([np.mean(truth == 0) if k == 0 else 0.0 for k in range(classes)])
        close(yours, right, f"the mean over {classes} classes", rtol=1e-3)


@exercise
def exercise_15_3(stages: Collection[str]) -> None:
    """Check which stages depend on the superpixels; the proposals are the CRF's."""
    from tinysegrank.experiment import STAGES

    after = {"superpixels"}
    for stage in STAGES:  # each after those that it needs
        if after & {need.partition("/")[0] for need in stage.needs}:
            after.add(stage.name)
    asked = {"features", "training", "superpixels", "upsampled", "proposals", "ranker", "report"}
    require(set(stages) <= asked, f"choose from {', '.join(sorted(asked))}")
    for name in sorted(asked):
        depends = name in after
        require(
            (name in stages) == depends, f"{name}: it {'depends' if depends else 'does not depend'} on the superpixels"
        )
