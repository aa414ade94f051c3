"""The objects of a labelled image: its instances where they are annotated, else connected components of a class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError
from tinysegrank.voc.classes import VOID

LEAST = 100  # size in pixels from which a connected component counts as an object


class Objects(NamedTuple):
    """Objects of one image, by instance number or, for components, by class.

    masks   | (O, H, W) | bool  |
    classes | (O,)      | int64 | 1..K-1
    """

    masks: NDArray[np.bool_]
    classes: NDArray[np.int64]


def find_objects(
    labels: NDArray[np.integer], instances: NDArray[np.integer] | None = None, *, least: int = LEAST
) -> Objects:
    """Return the objects in a label map.

    labels    | (H, W) | integer | 0 background, 1..K-1, or 255 where void
    instances | (H, W) | integer | instance map (VOC's SegmentationObject) if there is one: number, 0 none, 255 void

    Without instances an object is an 8-connected component of one class of at least `least` pixels; touching objects
    of a class are then one, and an occluded object may be two. An instance loses its pixels of background and void, and
    has the most frequent class of those left; it is left out if none are.

    Raises:
        ShapeError: labels are not a map, or instances are of another size.
    """
    from scipy import ndimage

    if labels.ndim != 2 or (instances is not None and instances.shape != labels.shape):
        other = "" if instances is None else f" and instances {instances.shape}"
        raise ShapeError(f"labels {labels.shape}{other}: give maps (H, W) of one size")
    masks = []
    if instances is not None:
        labelled = (labels != 0) & (labels != VOID)
        for number in np.setdiff1d(np.unique(instances[labelled]), (0, VOID)):
            masks.append((instances == number) & labelled)
    else:
        for k in np.setdiff1d(np.unique(labels), (0, VOID)):
            components, _ = ndimage.label(labels == k, structure=np.ones((3, 3)))
            sizes = np.bincount(components.ravel())
            masks += [components == number for number in np.flatnonzero(sizes[1:] >= least) + 1]
    classes = [np.bincount(labels[mask].astype(np.int64)).argmax() for mask in masks]  # the most frequent one
    return Objects(np.array(masks, np.bool_).reshape(len(masks), *labels.shape), np.array(classes, np.int64))
