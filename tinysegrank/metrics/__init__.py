"""Every IoU of hard labels: corpus IoU (VOC's accuracy), image IoU (the oracle's), overlap of binary masks."""

from tinysegrank.metrics.bootstrap import Difference, paired_difference
from tinysegrank.metrics.confusion import Confusion, MeanIoU, image_confusions, iou_of_confusion
from tinysegrank.metrics.corpus import corpus_iou
from tinysegrank.metrics.image import image_iou, image_ious, mean_of_present
from tinysegrank.metrics.overlap import mask_overlaps

__all__ = [
    "Confusion",
    "Difference",
    "MeanIoU",
    "corpus_iou",
    "image_confusions",
    "image_iou",
    "image_ious",
    "iou_of_confusion",
    "mask_overlaps",
    "mean_of_present",
    "paired_difference",
]
