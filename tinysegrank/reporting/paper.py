"""The paper's published figures, in per cent, to show beside ours.

They are over 21 classes, with some 12,000 training images; figures on part of the data are not comparable with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinysegrank.voc import NUM_CLASSES

# Paper: Table 1, corpus IoU of each class on PASCAL VOC 2012 test, in the order of VOC's classes.
TABLE_1: dict[str, tuple[float, ...]] = {
    "O2P": (
        84.8, 63.7, 23.4, 44.9, 40.8, 45.1, 58.0, 58.8, 57.6, 12.1, 43.8,
        31.0, 44.8, 56.2, 56.8, 52.3, 37.1, 44.0, 29.5, 48.6, 42.9,
    ),
    "DivMBest+ReRank": (
        85.7, 62.7, 25.6, 46.9, 43.0, 54.8, 58.4, 58.6, 55.6, 14.6, 47.5,
        31.2, 44.7, 51.0, 60.9, 53.5, 36.6, 50.9, 30.1, 50.2, 46.8,
    ),
    "UDS": (
        85.2, 67.0, 24.5, 47.2, 45.0, 47.9, 65.3, 60.6, 58.5, 15.5, 50.8,
        37.4, 45.8, 59.9, 62.0, 52.7, 40.8, 48.2, 36.8, 53.1, 45.6,
    ),
    "SDS": (
        86.7, 63.3, 25.7, 63.0, 39.8, 59.2, 70.9, 61.4, 54.9, 16.8, 45.0,
        48.2, 50.5, 51.0, 57.7, 63.3, 31.8, 58.7, 31.2, 55.7, 48.5,
    ),
    "SegNets": (
        86.8, 70.2, 27.0, 57.6, 44.6, 54.0, 69.0, 58.5, 56.6, 14.6, 59.3,
        34.5, 52.3, 59.5, 64.2, 59.1, 41.3, 61.6, 33.8, 51.8, 46.8,
    ),
}  # fmt: skip

# Paper: Table 1, column "Average".
TABLE_1_AVERAGE = {"O2P": 46.5, "DivMBest+ReRank": 48.1, "UDS": 50.0, "SDS": 51.6, "SegNets": 52.5}

# Paper: Table 2, mean corpus IoU on PASCAL VOC 2012 val.
TABLE_2 = {
    "naive upsampling": 31.3,
    "superpixel upsampling": 31.9,
    "SegNet-CE": 47.4,
    "SegNet-UOI": 48.5,
    "SegNet-UOI-CE": 48.7,
    "SegNet+SVM": 53.1,
}


def paper_mean(method: str, classes: Sequence[int] = range(NUM_CLASSES)) -> float:
    """Return a method's mean over some classes of Table 1, in per cent; NaN over no classes."""
    return sum(TABLE_1[method][index] for index in classes) / len(classes) if classes else float("nan")
