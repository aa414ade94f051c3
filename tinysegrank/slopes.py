"""Directions to check a gradient along, and the search for the entry where it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

SMALL = 1e-3  # relative to the largest entry: smaller ones are also checked by themselves
SEARCHED = 100  # maximum number of entries compared one by one


class Slope(NamedTuple):
    """A derivative along a direction, and a bound on its rounding error."""

    value: float
    rounding: float


def by_scale(x: np.ndarray, gradient: np.ndarray) -> Iterator[np.ndarray]:
    """Yield masks of the entries to check together: all of them, then smaller and smaller ones, without duplicates.

    The second mask has the entries below `SMALL` times the largest, the next one those below `SMALL` times the largest
    of the second mask, and so on. This is done by the sizes in `x` first, then by those in `gradient`.
    """
    yield np.ones(x.shape, bool)
    seen: list[np.ndarray] = []
    for sizes in (np.abs(x), np.abs(gradient)):
        chosen = sizes < SMALL * np.max(sizes, initial=0.0)
        while chosen.any():
            if not any(np.array_equal(chosen, other) for other in seen):
                yield chosen
            seen.append(chosen)
            chosen = chosen & (sizes < SMALL * np.max(sizes[chosen]))


def product(gradient: np.ndarray, direction: np.ndarray) -> float:
    """Return the dot product over the entries where the direction is not 0, as 0 times infinity would be NaN."""
    moved = direction != 0
    return float(np.sum(gradient[moved] * direction[moved]))


def worst_entry(
    gradient: np.ndarray, direction: np.ndarray, slope: Callable[..., Slope]
) -> tuple[tuple[int, ...], float, float]:
    """Search for the most wrong entry of a gradient; return its index, its value there, and its value by `slope`.

    The entries where the direction is not 0 are split in half. Along each half, the slope by the gradient is compared
    with that of `slope`, and the half with the larger difference is kept, until few entries are left to compare one by
    one. So another entry may be worse. `slope` returns the derivative along a
    direction, by difference.
    """

    def compare(entries: np.ndarray, along: np.ndarray) -> tuple[float, float, float]:
        """Return the error of the slope along these entries, the slope by the gradient, and that by difference."""
        part = np.zeros(gradient.shape)
        part.flat[entries] = along
        found, expected = product(gradient, part), slope(part).value
        error = abs(found - expected)
        return (error if np.isfinite(error) else np.inf), found, expected

    entries = np.flatnonzero(direction)
    while entries.size > SEARCHED:
        entries = max(np.array_split(entries, 2), key=lambda half: compare(half, direction.flat[half])[0])
    looked_at = [(*compare(entry, np.ones(1)), entry) for entry in entries[:, None]]
    _, by_backward, by_difference, entry = max(looked_at, key=lambda found: found[0])
    place = tuple(int(i) for i in np.unravel_index(int(entry[0]), gradient.shape))
    return place, by_backward, by_difference
