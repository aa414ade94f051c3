"""Make superpixels connected: each connected part of a cluster becomes one superpixel, and small parts join others."""

from __future__ import annotations

import numpy as np

from tinysegrank.superpixels.clusters import add_up
from tinysegrank.superpixels.graph import contacts


def join_small_parts(labels: np.ndarray, lab: np.ndarray, smallest: int) -> np.ndarray:
    """Split clusters into connected parts, and join parts of fewer than `smallest` pixels to a neighbour.

    Small parts are visited by increasing size. If a part and all that is joined to it are still too small, they join
    the part's neighbour with the nearest mean colour; of equally near neighbours the one with the lowest number.

    labels  | (H, W)    | int32 | any numbers from 0
    lab     | (3, H, W) | int16 | L, a, b
    returns | (H, W)    | int32 | 0..S-1 in the order of their first pixels, each connected along rows and columns
    """
    parts = connected_parts(labels)
    total = add_up(lab, parts, int(parts.max()) + 1, 0, 1)[:, [0, 1, 2, 5]]  # (P, 4)
    sizes = total[:, 3].copy()  # of the parts alone
    neighbours: dict[int, set[int]] = {int(part): set() for part in np.flatnonzero(sizes < smallest)}
    for a, b in contacts(parts)[0].tolist():
        for part, beside in ((a, b), (b, a)):
            if part in neighbours:
                neighbours[part].add(beside)

    joined = list(range(len(sizes)))  # the part that a part has joined, or itself

    def whole(part: int) -> int:
        while joined[part] != part:
            part = joined[part]
        return part

    for part in sorted(neighbours, key=lambda part: (sizes[part], part)):
        mine = whole(part)
        around = {whole(beside) for beside in neighbours[part]} - {mine}
        if total[mine, 3] >= smallest or not around:
            continue
        colour = total[mine, :3] // total[mine, 3]
        step = {other: int(np.square(total[other, :3] // total[other, 3] - colour).sum()) for other in around}
        joined[mine] = nearest = min(around, key=lambda other: (step[other], other))
        total[nearest] += total[mine]
    return in_order(np.array([whole(part) for part in range(len(sizes))]))[parts]


def connected_parts(labels: np.ndarray) -> np.ndarray:
    """Number the 4-connected parts of equal labels in the order of their first pixels: (H, W) -> (H, W) int32."""
    from skimage.measure import label

    return (label(labels, background=-1, connectivity=1) - 1).astype(np.int32)


def in_order(numbers: np.ndarray) -> np.ndarray:
    """Replace the values of an array (N,) by 0, 1, ... in the order in which they first occur: (N,) int32."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
