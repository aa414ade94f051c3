"""The two steps of an expansion move: find the nodes that may move, and state the binary problem that is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def gainers(
    nodes: NDArray[np.intp],
    alpha: int,
    unary: NDArray[np.float64],
    edges: NDArray[np.integer],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Find the nodes that may take `alpha` in a best move; all others provably keep their label.

    nodes     | (N,) | intp    | current labels; the other arguments are those of `expansion`
    price     | (N,) | float64 | unary cost of `alpha` minus that of the current label
    candidate | (N,) | bool    | False where taking `alpha` increases the energy whatever the neighbours do

    Excluding a node makes its neighbours' moves more expensive, so this is repeated until nothing changes. About half
    of all expansions end here without a cut, and the other cuts are small.
    """
    price = unary[:, alpha] - unary[np.arange(len(nodes)), nodes]
    own, other = np.concatenate([edges, edges[:, ::-1]]).T  # (2 E,) each
    w = np.concatenate([weights, weights])
    same = w * (nodes[own] == nodes[other])
    # To a neighbour that keeps the label it shares with this node, moving costs w; to one that may take alpha, or has
    # it, moving saves at most w.
    costliest = price + np.bincount(own, same, len(nodes))
    saved = same + w
    candidate: NDArray[np.bool_] = nodes != alpha
    has_alpha = ~candidate
    while True:
        cheapest = costliest - np.bincount(own, saved * (candidate | has_alpha)[other], len(nodes))
        before, candidate = candidate, candidate & (cheapest < 0)
        if np.array_equal(before, candidate):
            return price, candidate


def binary_problem(
    nodes: NDArray[np.intp],
    alpha: int,
    price: NDArray[np.float64],
    candidate: NDArray[np.bool_],
    edges: NDArray[np.integer],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the binary problem that is left for the C candidates, as `minimise_binary` takes it.

    price | (C,)   | float64 | cost of taking `alpha`, given that the neighbours that are not candidates keep theirs
    ends  | (I, 2) | int64   | numbers of neighbouring candidates
    bond  | (I,)   | float64 | cost if only the second of them takes `alpha`
    """
    number, chosen = np.cumsum(candidate) - 1, price[candidate]
    a, b = edges.T
    # an edge to a neighbour that cannot move is a unary cost: w[alpha != its label] - w[own label != its label]
    for own, other in ((a, b), (b, a)):
        half = candidate[own] & ~candidate[other]
        fixed = nodes[other[half]]
        change = weights[half] * ((fixed != alpha).astype(float) - (fixed != nodes[own[half]]))
        chosen = chosen + np.bincount(number[own[half]], change, len(chosen))
    inner = candidate[a] & candidate[b]
    ends, w, same = number[edges[inner]], weights[inner], nodes[a[inner]] == nodes[b[inner]]
    # w [labels differ] before the move: 0 or w if neither takes `alpha`, w if one does, 0 if both do
    change = np.bincount(ends[:, 0], w * same, len(chosen)) + np.bincount(ends[:, 1], -w, len(chosen))
    return chosen + change, ends, w * (1 + same)
