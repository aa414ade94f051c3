"""Choose lambda, or other constants of the proposals, by the oracle's accuracy on held-out training images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ConfigError
from tinysegrank.metrics import mean_of_present
from tinysegrank.proposals.curves import mean_iou_of, oracle_confusions
from tinysegrank.proposals.divmbest import Proposal
from tinysegrank.voc import NUM_CLASSES

Setting = TypeVar("Setting")
CRITERIA = ("image", "corpus")


class Choice(NamedTuple, Generic[Setting]):
    """The best setting, and under each setting the mean IoU of the oracle's picks and of the first proposals.

    oracle   | (G,) | float64 | 0..1, in the order of the grid
    one_best | (G,) | float64 | 0..1
    """

    best: Setting
    oracle: NDArray[np.float64]
    one_best: NDArray[np.float64]


def trial(
    truth: NDArray[np.integer], proposals: Sequence[Proposal], *, num_classes: int = NUM_CLASSES
) -> NDArray[np.int64]:
    """Return the confusion matrices of an image's best proposal, by image IoU, and of its first one.

    truth   | (H, W)    | integer | 0..K-1, or 255 where void
    returns | (2, K, K) | int64   | pixels; row: true class; of equally good proposals the first

    Trials of images are independent of each other: compute them in worker processes, and pass them all to `choose`.
    """
    return oracle_confusions(truth, proposals, (len(proposals) or 1, 1), num_classes=num_classes)


def choose(grid: Sequence[Setting], trials: Iterable[NDArray[np.int64]], *, by: str = "image") -> Choice[Setting]:
    """Choose the setting under which the oracle's picks have the best mean IoU.

    trials | (G, 2, K, K) each | int64 | for one image: its `trial` under each setting

    Args:
        grid: the settings, in the order of the trials.
        trials: trials of images that are not used for testing.
        by: "image", the mean over images of the image IoU, by which the oracle picks; or "corpus", the mean over the
            classes in the truth of the corpus IoU, which is reported. On few images "corpus" has a large error, since
            a class with one or two objects counts as much as any other (tutorials/results.md).

    Of equally good settings the first is chosen; images that are all void are ignored.

    Raises:
        ConfigError: the grid is empty, there are no trials, a trial does not have one entry per setting, or `by` is
            unknown.
    """
    if by not in CRITERIA:
        raise ConfigError(f'by="{by}": choose one of {", ".join(CRITERIA)}')
    confusions: NDArray[np.int64] | None = None
    image_ious, images = np.zeros((len(grid), 2)), 0
    for of_image in trials:
        if len(of_image) != len(grid):
            raise ConfigError(f"trials: one of {len(of_image)} settings for a grid of {len(grid)}; try every setting")
        confusions = of_image.copy() if confusions is None else confusions + of_image
        image_ious += np.nan_to_num(mean_of_present(of_image))
        images += bool(of_image.any())
    if confusions is None or not len(grid):
        raise ConfigError("trials: no setting or no image to choose by; give at least one of each")
    if by == "image":
        means = image_ious / max(images, 1)
    else:
        means = np.array([[mean_iou_of(matrix) for matrix in of_setting] for of_setting in confusions])
    oracle, one_best = means.T
    return Choice(grid[int(np.argmax(np.nan_to_num(oracle)))], oracle, one_best)
