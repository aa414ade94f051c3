"""Numba version of `parts.join_small_parts`, on one thread; the results are exactly the same."""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.superpixels.fast import add_up
from tinysegrank.superpixels.parts import in_order


def join_small_parts(labels: np.ndarray, lab: np.ndarray, smallest: int) -> np.ndarray:
    """Numba version of `parts.join_small_parts`."""
    parts, count = _connected_parts(labels)
    total = add_up(lab, parts, count, 0, 1)[:, [0, 1, 2, 5]]  # (P, 4)
    small = total[:, 3] < smallest
    first, beside = _borders(parts, small)
    order = np.flatnonzero(small).astype(np.int32)
    joined = np.arange(len(total), dtype=np.int32)  # the part that a part has joined, or itself
    _join(joined, total, order[np.argsort(total[order, 3], kind="stable")], first, beside, smallest)
    return in_order(joined)[parts]


@compiled()
def _join(
    joined: np.ndarray, total: np.ndarray, order: np.ndarray, first: np.ndarray, beside: np.ndarray, smallest: int
) -> None:
    """Join each part smaller than `smallest`, in this order, to the neighbour nearest in colour.

    `joined` becomes the part that each part now belongs to, perhaps itself; `total` is updated too.
    """
    for part in order:
        mine = _whole(joined, part)
        if total[mine, 3] >= smallest:
            continue
        nearest, least = -1, np.int64(0)
        for k in range(first[part], first[part + 1]):
            other = _whole(joined, beside[k])
            if other != mine:
                step = np.int64(0)
                for c in range(3):
                    step += (total[other, c] // total[other, 3] - total[mine, c] // total[mine, 3]) ** 2
                if nearest < 0 or step < least or (step == least and other < nearest):
                    nearest, least = other, step
        if nearest >= 0:
            joined[mine] = nearest
            for c in range(4):
                total[nearest, c] += total[mine, c]
    for part in range(len(joined)):
        joined[part] = _whole(joined, joined[part])  # an int32 as elsewhere, so that it is compiled once


@compiled()
def _whole(joined: np.ndarray, part: int) -> int:
    """Return the part that `part` now belongs to: follow `joined` to a part that has joined no other."""
    while joined[part] != part:
        part = joined[part]
    return part


@compiled()
def _connected_parts(labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Number connected parts in one pass; return the map (H, W) and their number.

    Each pixel takes the part of an equal pixel to its left or above; if these are two parts, they are merged.
    """
    H, W = labels.shape
    parts = np.empty((H, W), np.int32)
    joined = np.empty(H * W, np.int32)  # a lower-numbered part that a part was merged with, or itself
    count = 0
    for y in range(H):
        for x in range(W):
            label = labels[y, x]
            above = y > 0 and labels[y - 1, x] == label
            if x > 0 and labels[y, x - 1] == label:
                parts[y, x] = parts[y, x - 1]
                if above and labels[y - 1, x - 1] != label:
                    one, other = _whole(joined, parts[y, x]), _whole(joined, parts[y - 1, x])
                    joined[max(one, other)] = min(one, other)
            elif above:
                parts[y, x] = parts[y - 1, x]
            else:
                parts[y, x] = joined[count] = count
                count += 1
    kept = 0
    for part in range(count):  # lower ones have their final number already
        if joined[part] == part:
            joined[part] = kept
            kept += 1
        else:
            joined[part] = joined[joined[part]]
    for y in range(H):
        for x in range(W):
            parts[y, x] = joined[parts[y, x]]
    return parts, kept


@compiled()
def _borders(parts: np.ndarray, small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List the neighbours of each small part; return (first, beside).

    A neighbour is repeated for every pair of adjacent pixels. Parts that are not small have none.

    The neighbours of part p are beside[first[p]:first[p + 1]].
    """
    H, W = parts.shape
    first = np.zeros(len(small) + 1, np.int64)
    beside = np.empty(0, np.int32)
    for fill in (False, True):  # count, then write
        for y in range(H):
            for x in range(W):
                part = parts[y, x]
                for other in (parts[y, min(x + 1, W - 1)], parts[min(y + 1, H - 1), x]):
                    if other != part:
                        for one, two in ((part, other), (other, part)):
                            if small[one]:
                                if fill:
                                    first[one] -= 1
                                    beside[first[one]] = two
                                else:
                                    first[one] += 1
        if not fill:
            for part in range(len(small)):
                first[part + 1] += first[part]  # the end of each list, which is then filled backwards
            beside = np.empty(first[-1], np.int32)
    return first, beside
