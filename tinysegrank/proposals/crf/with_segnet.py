"""Unary costs of the CRF by the superpixel classifier and SegNet together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.crf.unary import FLOOR
from tinysegrank.superpixels import pool_maps


def with_segnet(
    log_probabilities: NDArray[np.floating],
    coarse: NDArray[np.floating],
    superpixels: NDArray[np.integer],
    weight: float,
) -> NDArray[np.float64]:
    """Combine a classifier's class probabilities with SegNet's by their weighted geometric mean.

    log_probabilities | (S, K)    | floating | nats
    coarse            | (h, w, K) | floating | SegNet's distribution of each cell
    superpixels       | (H, W)    | integer  | 0..S-1
    returns           | (S, K)    | float64  | nats; rows sum to 1 after exp

    SegNet's probabilities of a superpixel are the mean of its bilinearly enlarged map; they are kept above FLOOR.

    Args:
        weight: exponent of SegNet's probabilities; 1 minus it is that of the classifier's.

    Raises:
        ShapeError: the arrays do not fit each other.

    Source: a product of experts, as Hinton, "Training products of experts by minimizing contrastive divergence", 2002.
    """
    if coarse.ndim != 3 or coarse.shape[2:] != log_probabilities.shape[1:]:
        raise ShapeError(f"coarse: shape {coarse.shape} is not (h, w, {log_probabilities.shape[1]})")
    of_segnet = pool_maps([np.moveaxis(coarse, 2, 0)], superpixels)  # (S, K)
    if len(of_segnet) != len(log_probabilities):
        raise ShapeError(f"superpixels: {len(of_segnet)} for {len(log_probabilities)} rows of log_probabilities")
    log = (1 - weight) * log_probabilities + weight * np.log(np.maximum(of_segnet, FLOOR))
    return log - np.logaddexp.reduce(log, axis=1, keepdims=True)
