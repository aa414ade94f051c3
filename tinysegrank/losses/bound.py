"""Lower bounds on the sum of IOU by the sum of UOI: why minimising UOI maximises IOU.

Paper: Eqs. 11-15, with f(x) = 1 / x. That bound is valid, but far from tight: where every UOI_k is 1 it says 1 / K and
the sum of IOU is K. As UOI_k = 1 / IOU_k, the inequality of arithmetic and harmonic means gives K^2 / sum of UOI,
which is attained wherever all UOI_k are equal; divided by K it reads mean IOU >= 1 / mean UOI.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import check_floating, half_in_float32


@half_in_float32
def iou_bound(uoi: Array) -> Array:
    """Return the paper's bound, 1 / sum over classes of UOI; it is at most the sum over classes of IOU.

    uoi     | (..., K) | floating | 1..inf, of each class
    returns | (...)    | as uoi   | 0..1/K

    Raises:
        ShapeError: uoi is not floating.
    """
    check_floating("iou_bound", uoi=uoi)
    xp = array_namespace(uoi)
    return 1 / xp.sum(uoi, axis=-1)  # Eq. 15


@half_in_float32
def tight_iou_bound(uoi: Array) -> Array:
    """Return K^2 / sum over classes of UOI, a lower bound on the sum of IOU, attained where all UOI_k are equal.

    uoi     | (..., K) | floating | 1..inf, of each class
    returns | (...)    | as uoi   | 0..K
    """
    return uoi.shape[-1] ** 2 * iou_bound(uoi)
