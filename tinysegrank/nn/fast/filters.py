"""Winograd transforms of filters and, for the backward pass, of their gradients, as stages for `threads.run_stages`."""

from __future__ import annotations

import numpy as np

from tinysegrank.nn.fast.geometry import jobs
from tinysegrank.nn.fast.products import WIDTH
from tinysegrank.nn.fast.threads import Stage


def filter_values(
    weight: np.ndarray, taps: np.ndarray, groups: int, *, filters_first: bool
) -> tuple[np.ndarray, Stage]:
    """Return an array for the transformed filters, packed as `products` needs them, and the stage that fills it.

    weight  | (F, C/G, r, r)            | float32 |
    taps    | (P, r * r)                | float32 | `Geometry.taps`
    returns | (G * P, panels, K, WIDTH) | float32 | rows K are channels, columns filters; `filters_first` swaps them
    """
    F, C, r, _ = weight.shape
    order = (0, 3, 1, 2) if filters_first else (0, 3, 2, 1)
    split = weight.reshape(groups, F // groups, C, r * r).transpose(order)  # (G, r * r, A, B)
    _, _, A, B = split.shape
    panels = -(-B // WIDTH)
    padded = np.zeros((groups, r * r, A, panels * WIDTH), np.float32)
    padded[..., :B] = split
    packed = np.ascontiguousarray(padded.reshape(groups, r * r, A, panels, WIDTH).swapaxes(2, 3))
    rows = packed.reshape(groups, r * r, -1)  # (G, r * r, panels * A * WIDTH)
    values = np.empty((groups, len(taps), rows.shape[2]), np.float32)

    def transform(start: int, stop: int) -> None:
        columns = slice(start * WIDTH, stop * WIDTH)
        for g in range(groups):
            np.matmul(taps, rows[g, :, columns], out=values[g, :, columns])

    return values.reshape(-1, panels, A, WIDTH), Stage(transform, panels * A, jobs(panels * A, values.size))


def filter_gradient(gvalues: np.ndarray, taps: np.ndarray, groups: int) -> tuple[np.ndarray, Stage]:
    """Return an array for the gradient of the filters, and the stage that fills it: the adjoint of `filter_values`.

    gvalues | (G * P, F/G, C/G) | float32 | gradient with respect to the transformed filters
    taps    | (P, r * r)        | float32 | `Geometry.taps`
    returns | (F, C/G, r, r)    | float32 |
    """
    _, F, C = gvalues.shape
    P, r = len(taps), round(taps.shape[1] ** 0.5)
    split = gvalues.reshape(groups, P, F, C)
    gweight = np.empty((groups, F, C, r * r), np.float32)

    def transform(start: int, stop: int) -> None:
        for g in range(groups):
            rows = np.matmul(taps.T, split[g, :, start:stop].reshape(P, -1))  # (r * r, f * C)
            gweight[g, start:stop] = rows.T.reshape(stop - start, C, r * r)

    return gweight.reshape(groups * F, C, r, r), Stage(transform, F, jobs(F, gvalues.size))
