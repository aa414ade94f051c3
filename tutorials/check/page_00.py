"""Checks of the exercises of page 0, First run."""

from __future__ import annotations

from functools import cache
from tempfile import TemporaryDirectory

import numpy as np

from check.compare import close, exercise, require
from tinysegrank.ranking import proposal_distance
from tinysegrank.voc import BACKGROUND, VOID, make_toy_voc


@exercise
def exercise_0_1(share: float) -> None:
    """Check the share of background among the pixels of the page's 36 training masks that are not void."""
    close(share, _share_of_background(), "the share of background", rtol=1e-3)


@cache
def _share_of_background() -> float:
    with TemporaryDirectory() as folder:
        train = make_toy_voc(folder, train=36, val=1, seed=0).train
        pixels = np.bincount(np.concatenate([train.labels(i).ravel() for i in range(len(train))]))
    return float(pixels[BACKGROUND] / pixels[:VOID].sum())


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
