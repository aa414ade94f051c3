"""Taking sets of superpixels apart into connected ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def connected_parts(members: NDArray[np.bool_], edges: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Split each set of superpixels into its connected components, and list every different one once.

    members | (R, S) | bool    | sets of superpixels
    edges   | (E, 2) | integer | neighbouring superpixels
    returns | (P, S) | bool    | connected, not empty, all different

    Kept from CPMC. All sets are split by one call: they are laid side by side as one graph of R * S nodes.
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


def distinct(members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the first of all equal rows, and no empty one: (R, S) bool, in the same order."""
    members = members[members.any(axis=1)]
    packed = np.packbits(members, axis=1)  # (R, bytes)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, places = np.unique(keys, return_index=True)
    return members[np.sort(places)]
