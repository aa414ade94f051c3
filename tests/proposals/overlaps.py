"""The overlap of masks by its definition."""

import numpy as np


def mask_overlaps(segments, objects, valid=None):
    """The intersection over union of each segment with each object, over the pixels that are valid | (R, O)."""
    valid = np.ones(segments.shape[1:], bool) if valid is None else valid
    both = [[np.sum(a & b & valid) for b in objects] for a in segments]
    either = [[np.sum((a | b) & valid) for b in objects] for a in segments]
    return np.reshape(both, (len(segments), len(objects))) / np.maximum(either, 1)
