"""The table of losses by name, all to be minimised. Any of them can be chosen for training.

Paper: section 5 and Figure 6 compare CE, UOI and 0.7 UOI + 0.3 CE; section 3.2 uses IOU, a gain, so its negative is
here.
"""

from __future__ import annotations

from tinysegrank.config import look_up
from tinysegrank.losses.counts import Loss
from tinysegrank.losses.cross_entropy import soft_cross_entropy
from tinysegrank.losses.dice import soft_dice
from tinysegrank.losses.iou import iou
from tinysegrank.losses.lovasz import lovasz_softmax
from tinysegrank.losses.uoi import uoi
from tinysegrank.losses.weighted import bind, weighted

TABLE: dict[str, Loss] = {
    "ce": soft_cross_entropy,
    "uoi": uoi,
    "iou": weighted([(-1.0, iou)]),
    "uoi+ce": weighted([(0.7, uoi), (0.3, soft_cross_entropy)]),
    "soft_dice": soft_dice,
    "lovasz_softmax": lovasz_softmax,
}
"""Add a loss of your own as `losses.TABLE["mine"] = mine`."""


def named(name: str, *, min_mass: float = 0.5) -> Loss:
    """Return a loss of the table.

    Args:
        name: a key of `TABLE`.
        min_mass: passed to losses that take it; they ignore classes with less target mass than this many cells.

    Raises:
        ConfigError: the name is unknown.
    """
    return bind(look_up(TABLE, name, "loss"), min_mass=min_mass)
