"""The training objectives by name, all to be minimised.

Paper: section 5 and Figure 6 compare CE, UOI and 0.7 UOI + 0.3 CE; section 3.2 IOU, a gain, hence its negative here.
"""

from __future__ import annotations

from functools import partial

from tinysegrank.errors import ConfigError
from tinysegrank.losses import Loss, iou, soft_cross_entropy, uoi, weighted

OBJECTIVES = ("ce", "uoi", "iou", "uoi+ce")


def objective(name: str, *, min_mass: float = 0.5) -> Loss:
    """Look an objective up.

    Args:
        name: "ce", "uoi", "iou" or "uoi+ce" (0.7 UOI + 0.3 CE).
        min_mass: classes with less target mass than this many cells are left out of UOI and IOU.

    Raises:
        ConfigError: an unknown name.
    """
    ratio: Loss = partial(uoi, min_mass=min_mass)
    if name == "ce":
        return soft_cross_entropy
    if name == "uoi":
        return ratio
    if name == "iou":
        return weighted([(-1.0, partial(iou, min_mass=min_mass))])
    if name == "uoi+ce":
        return weighted([(0.7, ratio), (0.3, soft_cross_entropy)])
    raise ConfigError(f'loss="{name}": choose one of {", ".join(OBJECTIVES)}')
