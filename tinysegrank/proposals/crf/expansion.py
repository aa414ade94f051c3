"""Alpha-expansion: approximate minimum of a Potts energy over many labels by a sequence of exact binary cuts."""

from __future__ import annotations

import numpy as np

from tinysegrank.backend import accelerated
from tinysegrank.errors import ShapeError
from tinysegrank.proposals.crf.maxflow import minimise_binary


def potts_energy(nodes: np.ndarray, unary: np.ndarray, edges: np.ndarray, weights: np.ndarray) -> float:
    """Return the energy of a labelling: its unary costs, plus the weight of each edge whose ends have different labels.

    nodes   | (N,)   | integer  | label of each node, 0..K-1
    unary   | (N, K) | floating | cost of each label at each node
    edges   | (E, 2) | integer  | pairs of nodes
    weights | (E,)   | floating | cost of differing labels
    """
    differ = nodes[edges[:, 0]] != nodes[edges[:, 1]]
    return float(np.take_along_axis(unary, nodes[:, None], axis=1).sum(dtype=np.float64) + weights[differ].sum())


def expansion(
    unary: np.ndarray, edges: np.ndarray, weights: np.ndarray, *, start: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Lower a Potts energy by expansion moves until no move lowers it any further; return the labels and their energy.

    unary   | (N, K) | floating | finite cost of each label at each node
    edges   | (E, 2) | integer  | pairs of nodes, 0..N-1
    weights | (E,)   | floating | finite, at least 0: cost of differing labels
    start   | (N,)   | integer  | first labelling; the cheapest label of each node if not given
    labels  | (N,)   | intp     | 0..K-1

    Apart from the rounding in `minimise_binary`, the energy is the minimum if K = 2. Otherwise it exceeds the minimum
    by at most the sum of the weights of the edges whose ends have different labels in the best labelling.

    Raises:
        ShapeError: the arrays do not fit each other, a cost or weight is not finite, a weight is negative, or a label
            of `start` is not in 0..K-1.

    Source: Boykov, Veksler and Zabih, "Fast approximate energy minimization via graph cuts", PAMI 2001.
    """
    check_potts(unary, edges, weights)
    cost, price = unary.astype(np.float64), weights.astype(np.float64)
    count, classes = cost.shape
    if start is not None and (start.shape != (count,) or (count and not 0 <= start.min() <= start.max() < classes)):
        raise ShapeError(f"start must hold {count} labels of 0..{classes - 1}")
    nodes = cost.argmin(axis=1) if start is None else start.astype(np.intp)
    energy = potts_energy(nodes, cost, edges, price)
    failures, alpha = 0, 0
    while failures < classes:  # every label failed in a row: no expansion move lowers the energy
        moved = expand(nodes, alpha, cost, edges, price)
        lower = energy if np.array_equal(moved, nodes) else potts_energy(moved, cost, edges, price)
        # strictly, so that rounding cannot make two labellings alternate forever
        failures = 0 if lower < energy else failures + 1
        if lower < energy:
            nodes, energy = moved, lower
        alpha = (alpha + 1) % classes
    return nodes, energy


def expand(nodes: np.ndarray, alpha: int, unary: np.ndarray, edges: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Find the best labelling in which each node keeps its label or takes `alpha`; of several, one with fewest moves.

    nodes   | (N,) | intp | current labels; for the other arguments see `expansion`
    returns | (N,) | intp | labels; `nodes` itself if none can move

    The Numba versions of `gainers` and `binary_problem` run unless TINYSEGRANK_ACCELERATE=0; the results are the same.
    """
    find, state = gainers, binary_problem
    if accelerated():
        from tinysegrank.proposals.crf import fast_expansion  # compiled on first use

        find, state = fast_expansion.gainers, fast_expansion.binary_problem
    price, candidate = find(nodes, alpha, unary, edges, weights)
    if not candidate.any():
        return nodes
    takes = minimise_binary(*state(nodes, alpha, price, candidate, edges, weights))
    moved = nodes.copy()
    moved[np.flatnonzero(candidate)[takes]] = alpha
    return moved


def gainers(
    nodes: np.ndarray, alpha: int, unary: np.ndarray, edges: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nodes that may take `alpha` in a best move; return (price, candidate). All others provably keep theirs.

    nodes     | (N,) | intp    | current labels; for the other arguments see `expansion`
    price     | (N,) | float64 | unary cost of `alpha` minus that of the current label
    candidate | (N,) | bool    | False where taking `alpha` cannot lower the energy whatever the neighbours do

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
    candidate = nodes != alpha
    has_alpha = ~candidate
    while True:
        cheapest = costliest - np.bincount(own, saved * (candidate | has_alpha)[other], len(nodes))
        before, candidate = candidate, candidate & (cheapest < 0)
        if np.array_equal(before, candidate):
            return price, candidate


def binary_problem(
    nodes: np.ndarray, alpha: int, price: np.ndarray, candidate: np.ndarray, edges: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the binary problem of the C candidates, x_i = 1 where candidate i takes `alpha`, for `minimise_binary`.

    nodes            | (N,)   | intp    | current labels; for `edges` and `weights` see `expansion`
    price, candidate | (N,)   |         | from `gainers`
    returns          | (C,)   | float64 | cost of x_i = 1
                     | (I, 2) | int64   | pairs i, j of neighbouring candidates
                     | (I,)   | float64 | cost of x_i = 0 with x_j = 1

    Nodes that are not candidates keep their labels; the costs differ from the energy by a constant.
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


def check_potts(unary: np.ndarray, edges: np.ndarray, weights: np.ndarray) -> None:
    """Raise ShapeError unless the arrays fit each other and are finite, and no weight is negative; see `expansion`."""
    if unary.ndim != 2 or unary.shape[1] < 1 or edges.shape != (len(edges), 2) or weights.shape != (len(edges),):
        raise ShapeError(
            f"unary (N, K), edges (E, 2) and weights (E,) are needed, got {unary.shape}, {edges.shape}, {weights.shape}"
        )
    if edges.size and (edges.dtype.kind not in "iu" or not 0 <= edges.min() <= edges.max() < len(unary)):
        raise ShapeError(f"edges must be integers, nodes of 0..{len(unary) - 1}")
    if not (np.isfinite(unary).all() and np.isfinite(weights).all()):
        raise ShapeError("unary and weights must be finite; replace infinite costs by large ones")
    if weights.size and weights.min() < 0:
        raise ShapeError("weights must be at least 0: a negative Potts weight is not submodular")
