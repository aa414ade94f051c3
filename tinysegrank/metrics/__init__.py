"""IoU of hard labels, one class per pixel: over a corpus, as VOC reports it, and per image, as the oracle uses it."""

from tinysegrank.metrics.bootstrap import Difference, paired_difference
from tinysegrank.metrics.confusion import (
    Confusion,
    MeanIoU,
    corpus_iou,
    image_confusions,
    image_iou,
    image_ious,
    iou_of_confusion,
    mean_of_present,
)

__all__ = [
    "Confusion",
    "Difference",
    "MeanIoU",
    "corpus_iou",
    "image_confusions",
    "image_iou",
    "image_ious",
    "iou_of_confusion",
    "mean_of_present",
    "paired_difference",
]
