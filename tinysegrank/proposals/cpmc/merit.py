"""How good segments are: how well the best of the first n covers each object, over a whole set of images.

Kept from CPMC: both figures, as in its Table 2 and in O2P's; objects count over all images together, void does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals.segments import Segments

COUNTS = (10, 20, 50, 100, 150)


class Merit(NamedTuple):
    """Figures of merit against the number of segments.

    counts   | (N,) | int64   | segments of each image
    abo      | (N,) | float64 | average best overlap: mean over the objects; NaN without objects
    covering | (N,) | float64 | the same, each object counting by its pixels
    objects  |      | int     | how many
    """

    counts: NDArray[np.int64]
    abo: NDArray[np.float64]
    covering: NDArray[np.float64]
    objects: int


def best_overlaps(
    segments: Segments,
    objects: NDArray[np.bool_],
    *,
    counts: Sequence[int] = COUNTS,
    known: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Best overlap of each object with one of the first n segments, for each n.

    objects | (O, H, W) | bool    | masks, as from `voc.find_objects`
    known   | (H, W)    | bool    | pixels that are not void; all by default
    returns | (N, O)    | float64 | 0..1; 0 where there is no segment; a count larger than all is all

    Raises:
        ConfigError: a count is below 1.
        ShapeError: the masks are not of the image's size.
    """
    if not counts or min(counts) < 1:
        raise ConfigError(f"counts must be numbers of at least 1, got {list(counts)}")
    overlaps = segments.overlaps_with(objects, known=known)  # (R, O)
    return np.stack([overlaps[:n].max(axis=0, initial=0) for n in counts])


def merit(
    images: Iterable[tuple[NDArray[np.floating], NDArray[np.integer]]], *, counts: Sequence[int] = COUNTS
) -> Merit:
    """Put the images of a set together.

    images | one (N, O) and (O,) each | floating, integer | `best_overlaps` of an image's objects, and their pixels

    Raises:
        ShapeError: overlaps and sizes do not fit each other or `counts`.
    """
    overlaps, sizes = [np.zeros((len(counts), 0))], [np.zeros(0)]
    for of_image, pixels in images:
        if of_image.shape != (len(counts), *pixels.shape):
            raise ShapeError(f"overlaps {of_image.shape} and sizes {pixels.shape} must be ({len(counts)}, O) and (O,)")
        overlaps.append(np.asarray(of_image, np.float64))
        sizes.append(np.asarray(pixels, np.float64))
    best, size = np.concatenate(overlaps, axis=1), np.concatenate(sizes)
    if not len(size):
        nothing = np.full(len(counts), np.nan)
        return Merit(np.array(counts), nothing, nothing.copy(), 0)
    return Merit(np.array(counts), best.mean(axis=1), best @ size / size.sum(), len(size))
