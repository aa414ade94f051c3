"""Checks of the exercises of page 0, First run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from check.compare import close, exercise, require
from tinysegrank.ranking import proposal_distance


@exercise
def exercise_0_1(share: float, masks: Sequence[np.ndarray]) -> None:
    """Check the share of background among the pixels of masks that are not void."""
    background = sum(int((mask == 0).sum()) for mask in masks)
    close(share, background / sum(int((mask < 255).sum()) for mask in masks), "the share of background")


@exercise
def exercise_0_2(mean_iou: float) -> None:
    """Check the mean IoU of a labelling that calls everything background."""
    truth = np.repeat(np.arange(21), [1400] + [30] * 20)
    of_classes = [np.mean(truth == k) if k == 0 else 0.0 for k in range(21)]  # only background is intersected
    close(mean_iou, np.mean(of_classes), "the mean IoU", rtol=1e-3)


@exercise
def exercise_0_3(proposal: np.ndarray, coarse: np.ndarray) -> None:
    """Check the soft proposal (13, 13, K) that agrees best with SegNet's map `coarse`."""
    require(np.shape(proposal) == coarse.shape, f"give a distribution over the classes in each cell, {coarse.shape}")
    close(np.sum(proposal, axis=2), np.ones(coarse.shape[:2]), "the sum over the classes", atol=1e-4)
    yours, best = proposal_distance(coarse, proposal), proposal_distance(coarse, coarse)
    require(yours < 1.001 * best + 1e-6, f"its distance by Eq. 17 is {float(yours):.3f}; {float(best):.3f} is possible")
