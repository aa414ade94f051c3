"""Choose lambda, or other constants of the proposals, by the oracle's accuracy on held-out training images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from tinysegrank.errors import ConfigError
from tinysegrank.metrics import image_ious
from tinysegrank.proposals.divmbest import Proposal
from tinysegrank.voc import NUM_CLASSES

Setting = TypeVar("Setting")


class Choice(NamedTuple, Generic[Setting]):
    """The best setting, and two means under each of the G settings of the grid, in its order.

    oracle   | (G,) | float64 | mean image IoU of each image's best proposal, 0..1
    one_best | (G,) | float64 | mean image IoU of each image's first proposal, 0..1
    """

    best: Setting
    oracle: np.ndarray
    one_best: np.ndarray


def trial(truth: np.ndarray, proposals: Sequence[Proposal], *, num_classes: int = NUM_CLASSES) -> np.ndarray:
    """Return the image IoU of an image's best proposal and that of its first one.

    truth   | (H, W) | integer | 0..K-1, or 255 where void
    returns | (2,)   | float64 | 0..1; NaN where the whole image is void
    """
    ious = image_ious(truth, np.stack([proposal.labels for proposal in proposals]), num_classes=num_classes)
    return np.array([ious.max(), ious[0]])


def choose(grid: Sequence[Setting], trials: np.ndarray) -> Choice[Setting]:
    """Choose the setting under which the images' best proposals have the largest mean image IoU.

    trials | (N, G, 2) | floating | `trial` of each of N images under each of the G settings of the grid

    Take images that are not used for testing. Of equally good settings the first is chosen; images that are all void
    are ignored.

    Raises:
        ConfigError: there is no image or no setting, or an image does not have one trial per setting.
    """
    if trials.size == 0 or trials.shape[1:] != (len(grid), 2):
        raise ConfigError(f"trials: {trials.shape} for a grid of {len(grid)}; try every setting on at least one image")
    images = np.count_nonzero(~np.isnan(trials[:, 0, 0]))
    oracle, one_best = (np.nan_to_num(trials).sum(axis=0) / max(images, 1)).T
    return Choice(grid[int(np.argmax(oracle))], oracle, one_best)
