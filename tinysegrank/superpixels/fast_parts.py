"""Numba version of `parts.join_small_parts`, on one thread; the results are exactly the same."""

from __future__ import annotations

import numpy as np

from tinysegrank.compiled import compiled
from tinysegrank.superpixels.fast import add_up
from tinysegrank.superpixels.parts import in_order


def join_small_parts(labels: np.ndarray, lab: np.ndarray, smallest: int) -> np.ndarray:
    """Numba version of `parts.join_small_parts`: split clusters into connected parts, and join small ones to others."""
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
    """Join parts that are still smaller than `smallest` pixels, in the given order, to the neighbour nearest in colour.

    joined        | (P,)   | int32 | each part itself; becomes the part that it belongs to in the end
    total         | (P, 4) | int64 | sums of L, a and b, number of pixels; a joined part's are added to its neighbour's
    order         | (N,)   | int32 | the parts that are too small at first
    first, beside |        |       | from `_borders`
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
    """Number the connected parts of equal labels (H, W) in the order of their first pixels; return their map and count.

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
    """List the neighbours of each small part p as beside[first[p]:first[p + 1]]; return (first, beside).

    parts | (H, W) | int32 | 0..P-1
    small | (P,)   | bool  | False for parts whose neighbours are not needed: their lists are empty

    A neighbour is repeated for every pair of adjacent pixels.
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
