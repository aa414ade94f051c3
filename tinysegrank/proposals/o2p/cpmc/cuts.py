"""Parametric minimum cuts: nested foregrounds, which grow as the foreground becomes cheaper; and connected parts."""

from __future__ import annotations

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.crf.maxflow import nested_cuts


def parametric_cuts(edges: np.ndarray, weights: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Minimise the energy for every hypothesis and every step; of several minima, take the one with fewest x = 1.

    edges   | (E, 2)    | integer | pairs of superpixels, each pair once
    weights | (E,)      | integer | at least 0: cost of separating them
    gain    | (B, L, S) | integer | what x_i = 1 saves, for each of B hypotheses and L steps; never falling along L
    returns | (B, L, S) | bool    | x, nested: x[b, l] is contained in x[b, l + 1]

    The energy is - sum_i gain[b, l, i] x_i + sum_ij weights_ij [x_i != x_j]. A gain larger than the cost of all
    boundaries of a superpixel puts it into the foreground, x_i = 1, whatever the others do; seeds have such gains.

    Raises:
        ShapeError: the arrays do not fit each other or are not integers, a weight is negative, or a gain falls.

    Source: Picard's reduction: positive gains are arcs from the source, negative ones arcs to the sink.
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
    price = weights.astype(np.int64)
    # A gain above the cost of all boundaries of its superpixel decides the side in any case: clipped, none overflows.
    reach = np.zeros(gain.shape[2], np.int64)
    for end in (0, 1):
        np.add.at(reach, edges[:, end], price)
    clipped = np.clip(gain, -reach - 1, reach + 1).astype(np.int64, copy=False)
    return nested_cuts(edges.astype(np.int64), price, price, clipped)


def connected_parts(members: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Split each set of superpixels into connected components, and return the distinct ones.

    members | (R, S) | bool    | sets of superpixels
    edges   | (E, 2) | integer | neighbouring superpixels
    returns | (P, S) | bool    | connected, not empty, all different

    All sets are split in one call, as one graph with a node for each member of each set.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    members = distinct(members)
    count = members.shape[1]
    row, node = np.nonzero(members)
    number = np.full(members.shape, -1, np.int32)  # of the node in the graph below
    number[row, node] = np.arange(len(row))
    which, edge = np.nonzero(members[:, edges[:, 0]] & members[:, edges[:, 1]])
    ends = number[which, edges[edge, 0]], number[which, edges[edge, 1]]
    graph = csr_array((np.ones(len(which), np.int8), ends), shape=(len(row), len(row)))
    parts, part = connected_components(graph, directed=False)
    split = np.zeros((parts, count), np.bool_)
    split[part, node] = True
    return distinct(split)


def distinct(members: np.ndarray) -> np.ndarray:
    """Return the distinct rows that are not empty: (R, S) bool, in order of first occurrence."""
    members = members[members.any(axis=1)]
    packed = np.packbits(members, axis=1)  # (R, bytes)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, places = np.unique(keys, return_index=True)
    return members[np.sort(places)]
