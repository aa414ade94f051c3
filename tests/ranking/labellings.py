"""Labellings for tests of features."""

from __future__ import annotations

import numpy as np


def blobs(rng, shape, classes):
    """A labelling of rectangles of random classes over background, and single pixels."""
    labels = np.zeros(shape, np.uint8)
    for _ in range(4):
        top, left = (rng.integers(0, side) for side in shape)
        labels[top : top + rng.integers(1, shape[0] + 1), left : left + rng.integers(1, shape[1] + 1)] = rng.choice(
            classes
        )
    labels[tuple(rng.integers(0, side) for side in shape)] = rng.choice(classes)
    return labels
