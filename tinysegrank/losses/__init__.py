"""Losses on soft segmentations: (z, target, weight) to (value, gradient with respect to z).

z (N, K, H, W) are the scores before the softmax; target (N, K, H, W) is the true class distribution of each cell;
weight (N, H, W) is the share of each cell that counts, 0 where it is void. The value is a 0-d array of the same
backend. All arrays are floating and of one dtype; float16 is computed in float32, and the results are rounded once.
"""

from __future__ import annotations

from tinysegrank.losses.counts import CorpusCounts, Loss
from tinysegrank.losses.cross_entropy import soft_cross_entropy
from tinysegrank.losses.expected import ExpectedCounts, expected_counts
from tinysegrank.losses.lovasz import lovasz_softmax
from tinysegrank.losses.overlap import OverlapLoss, iou, soft_dice, uoi
from tinysegrank.losses.simulation import (
    FlipCurve,
    class_iou,
    class_uoi,
    iou_bound,
    iou_slopes,
    simulate_flips,
    tight_iou_bound,
    uoi_slopes,
)
from tinysegrank.losses.table import TABLE, named, weighted

__all__ = [
    "TABLE",
    "CorpusCounts",
    "ExpectedCounts",
    "FlipCurve",
    "Loss",
    "OverlapLoss",
    "class_iou",
    "class_uoi",
    "expected_counts",
    "iou",
    "iou_bound",
    "iou_slopes",
    "lovasz_softmax",
    "named",
    "simulate_flips",
    "soft_cross_entropy",
    "soft_dice",
    "tight_iou_bound",
    "uoi",
    "uoi_slopes",
    "weighted",
]
