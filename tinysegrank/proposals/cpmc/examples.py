"""What a ranker learns from: the segments of a labelled image, described, with their best overlap with an object."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.cpmc.description import SEGMENT_FEATURES, segment_features
from tinysegrank.proposals.cpmc.pipeline import CpmcOptions, candidates
from tinysegrank.proposals.segments import Segments
from tinysegrank.voc import VOID, find_objects


class Examples(NamedTuple):
    """Examples of one image; those of a training set are put together with np.concatenate.

    features      | (R, 25) | float64 | columns as SEGMENT_FEATURES
    best_overlaps | (R,)    | float64 | largest IoU with an object of the image, void left out
    """

    features: NDArray[np.float64]
    best_overlaps: NDArray[np.float64]


def ranker_examples(
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    instances: NDArray[np.integer] | None = None,
    *,
    options: CpmcOptions | None = None,
    rng: np.random.Generator,
) -> Examples:
    """Describe all candidates of a training image, and measure them.

    image     | (H, W) or (H, W, 3) | uint8   | 0..255
    labels    | (H, W)              | integer | 0..K-1, or 255 where void
    instances | (H, W)              | integer | numbers of the objects, if they are known; see `find_objects`

    An image without an object gives no examples: there every overlap would be 0, however good the segment.

    Raises:
        ShapeError: the image is not 8-bit grey or RGB, or the labels are of another size.
    """
    if labels.shape != image.shape[:2]:
        raise ShapeError(f"image {image.shape} and labels {labels.shape} must have the same size")
    objects = find_objects(labels, instances).masks
    if not len(objects):
        return Examples(np.zeros((0, len(SEGMENT_FEATURES))), np.zeros(0))
    found = candidates(image, options=options, rng=rng)
    overlaps = Segments(found.superpixels, found.members, -found.ratios).overlaps_with(objects, known=labels != VOID)
    features = segment_features(image, found.superpixels, found.boundaries, found.members)
    return Examples(features, overlaps.max(axis=1))
