"""Parametric minimum cuts: one after the other as the foreground is made cheaper, each containing the one before.

Minimised for each step l over x in {0, 1}^S:  E_l(x) = - sum_i gain[l, i] x_i + sum_ij w_ij [x_i != x_j].

Kept from CPMC: the energy and its exact minimum for every lambda. Changed: pseudoflow, which solves all breakpoints at
once, is replaced by a maximum flow for each of a few lambdas, on superpixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.backend import accelerated
from tinysegrank.errors import ShapeError
from tinysegrank.proposals.maxflow import minimum_cut


def parametric_cuts(
    edges: NDArray[np.integer], weights: NDArray[np.integer], gain: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Minimise the energy for every hypothesis and every step; of several minima take the one with fewest x = 1.

    edges   | (E, 2)    | integer | pairs of superpixels, each pair once
    weights | (E,)      | integer | at least 0: cost of parting them
    gain    | (B, L, S) | integer | what x_i = 1 saves under each of B hypotheses; never falling along L
    returns | (B, L, S) | bool    | x, nested: x[b, l] is contained in x[b, l + 1]

    The numba twin `fast_cuts` does the work unless TINYSEGRANK_ACCELERATE=0; the results are equal. A gain larger than
    all that a superpixel's boundaries cost puts it into the foreground, whatever the others do: so a seed is given.

    Raises:
        ShapeError: the arrays do not fit each other, are no integers, a weight is negative, or a gain falls.
    """
    if gain.ndim != 3 or edges.shape != (len(edges), 2) or weights.shape != (len(edges),):
        raise ShapeError(
            f"edges (E, 2), weights (E,) and gain (B, L, S) are needed, got {edges.shape}, {weights.shape} and "
            f"{gain.shape}"
        )
    if not all(np.issubdtype(array.dtype, np.integer) for array in (edges, weights, gain)):
        raise ShapeError("edges, weights and gain must hold integers; scale and round them first")
    if len(edges) and not 0 <= edges.min() <= edges.max() < gain.shape[2]:
        raise ShapeError(f"edges must name superpixels of 0..{gain.shape[2] - 1}")
    if len(weights) and weights.min() < 0:
        raise ShapeError("weights must be at least 0")
    if (np.diff(gain, axis=1) < 0).any():
        raise ShapeError("gain must not fall from a step to the next: only then are the cuts nested")
    clipped = clip_gain(edges, weights, gain)
    if accelerated():
        from tinysegrank.proposals.cpmc import fast_cuts  # compiled on first use

        return fast_cuts.parametric_cuts(edges, weights, clipped)
    return readable_cuts(edges, weights, clipped)


def clip_gain(edges: NDArray[np.integer], weights: NDArray[np.integer], gain: NDArray[np.integer]) -> NDArray[np.int64]:
    """Clip gains to one more than the boundaries of the superpixel cost together: the minima stay as they are.

    Beyond that the superpixel's side is decided. Capacities are then small, and "infinite" ones need no care.
    """
    count = gain.shape[2]
    reach = np.zeros(count, np.int64)
    for end in (0, 1):
        np.add.at(reach, edges[:, end], weights)
    return np.asarray(np.clip(gain, -reach - 1, reach + 1), np.int64)


def readable_cuts(
    edges: NDArray[np.integer], weights: NDArray[np.integer], gain: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Do as `parametric_cuts`, on gains that are clipped, with a maximum flow from nothing for each step.

    Source: Picard's reduction: positive gains are arcs from the source, negative ones arcs to the sink.
    """
    count = gain.shape[2]
    node, source, sink = np.arange(count), np.full(count, count), np.full(count, count + 1)
    arcs = np.concatenate([edges, edges[:, ::-1], np.stack([source, node], 1), np.stack([node, sink], 1)])
    found = np.zeros(gain.shape, np.bool_)
    for place in np.ndindex(gain.shape[:2]):
        capacity = np.concatenate([weights, weights, np.maximum(gain[place], 0), np.maximum(-gain[place], 0)])
        found[place] = minimum_cut(count + 2, count, count + 1, arcs, capacity)[:count]
    return found
