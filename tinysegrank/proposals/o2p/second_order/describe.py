"""Describe segments by second-order pooling: three blocks, for the figure and the ground around it.

    block        local descriptor   pooled over   placed in
    eSIFT-F      SIFT               the segment   its bounding box
    eSIFT-G      SIFT               the rest      the image
    eLBP         binary patterns    the segment   its bounding box

"e" stands for the enrichment: nine colours and six numbers for the place.

Source: Carreira, Caseiro, Batista and Sminchisescu, "Semantic segmentation with second-order pooling", ECCV 2012.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.o2p.second_order import pooling
from tinysegrank.proposals.o2p.second_order.local import SecondOrderOptions, local_descriptors
from tinysegrank.proposals.o2p.second_order.reduction import DescriptorReduction
from tinysegrank.proposals.o2p.segments import Segments


def describe_segments(
    image: np.ndarray,
    segments: Segments,
    *,
    options: SecondOrderOptions | None = None,
    reduction: DescriptorReduction | None = None,
) -> np.ndarray:
    """Describe each segment of an image by second-order means of local descriptors, in three blocks.

    They are, named as by O2P's authors, SIFT in the segment (eSIFT-F), SIFT in the rest of the image (eSIFT-G) and
    binary patterns in the segment (eLBP).

    image   | (H, W) or (H, W, 3) | uint8   | 0..255
    returns | (R, D)              | float32 | finite; the blocks one after the other, 0 for a region without grid points

    Args:
        segments: segments of this image.
        options: see `SecondOrderOptions`; the defaults if not given.
        reduction: reduces SIFT and binary patterns before pooling; D is 23,293 without.

    Raises:
        ShapeError: the image is not 8-bit grey or RGB, or its size is not that of the segments.
    """
    options = options or SecondOrderOptions()
    if segments.superpixels.shape != image.shape[:2]:
        raise ShapeError(f"segments of an image {segments.superpixels.shape} do not fit the image {image.shape}")
    local = local_descriptors(image, options)
    if reduction is not None:
        local = reduction.apply(local)
    members = segments.members.astype(np.float64)
    boxes = pooling.bounding_boxes(segments.members, segments.superpixels)
    in_box = pooling.placements(boxes, pooling.FIGURE_SIZE)  # (R, 6, 4)
    in_image = pooling.placements(np.array([[0.0, 0.0, *image.shape[1::-1]]]), pooling.GROUND_SIZE)  # (1, 6, 4)

    blocks = []
    for kind in local:
        sums = pooling.superpixel_sums(kind, segments.superpixels)  # (S, d + 4, d + 4)
        figure = np.tensordot(members, sums, axes=1)  # (R, d + 4, d + 4)
        means = [pooling.placed_averages(figure, in_box)]
        if kind is local.sift:
            means.append(pooling.placed_averages(sums.sum(axis=0) - figure, in_image))
        blocks += [pooling.upper_triangles(pooling.log_matrices(mean, ridge=options.ridge)) for mean in means]
    return pooling.normalise_blocks(blocks, power=options.power)
