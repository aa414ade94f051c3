"""Minimum cuts, and minimisation of binary energies by a cut, with SciPy's maximum flow.

SciPy's capacities are 32-bit integers: larger ones wrap around silently, hence the checks and the scaling here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ShapeError

LARGEST_CAPACITY = 2**31 - 1


def minimum_cut(
    nodes: int, source: int, sink: int, arcs: NDArray[np.integer], capacity: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Find the smallest source side among the minimum cuts of a directed graph.

    arcs     | (A, 2)   | integer | tail and head of each arc, 0..nodes-1; duplicates are summed
    capacity | (A,)     | integer | at least 0; all arcs between two nodes, in both directions, sum to less than 2^31
    returns  | (nodes,) | bool    | True on the source side

    Raises:
        ShapeError: a capacity is negative or not an integer, or such a sum is too large.

    Source: Ford and Fulkerson's theorem. The source side is what the source still reaches in the residual graph.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    if not np.issubdtype(capacity.dtype, np.integer) or (capacity.size and capacity.min() < 0):
        raise ShapeError("capacity must hold integers of at least 0; scale and round it first")
    # Compressed rows by hand, each arc with its reverse, duplicates summed: SciPy's flow then has the same layout.
    tail, head = arcs[:, 0].astype(np.int64), arcs[:, 1].astype(np.int64)
    key, place = np.unique(np.concatenate([tail * nodes + head, head * nodes + tail]), return_inverse=True)  # (B,)
    total = np.zeros(len(key), np.int64)
    np.add.at(total, place[: len(arcs)], capacity)
    start, end = np.divmod(key, nodes)
    # Flow one way adds to the residual the other way, so the two capacities between a pair share the 32 bits.
    both = total + total[np.searchsorted(key, end * nodes + start)]
    if both.max(initial=0) > LARGEST_CAPACITY:
        raise ShapeError(f"capacity: the arcs between two nodes sum to more than {LARGEST_CAPACITY}; scale it down")
    rows = np.searchsorted(start, np.arange(nodes + 1)).astype(np.int32)
    graph = csr_array((total.astype(np.int32), end.astype(np.int32), rows), shape=(nodes, nodes))
    residual = (
        total - maximum_flow(graph, source, sink).flow.data
    )  # in 64 bits, as it can be twice the largest capacity
    open_arc = residual > 0
    rows = np.searchsorted(start[open_arc], np.arange(nodes + 1)).astype(np.int32)
    reachable = csr_array((np.ones(rows[-1]), end[open_arc].astype(np.int32), rows), shape=(nodes, nodes))
    reached = np.zeros(nodes, dtype=bool)
    reached[breadth_first_order(reachable, source, return_predecessors=False)] = True
    return reached


def minimise_binary(
    unary: NDArray[np.floating], edges: NDArray[np.integer], pairwise: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Minimise a submodular energy of binary variables x by one cut; of several minima, the one with fewest x = 1.

    unary    | (N, 2) | floating | cost of x_i = 0 and of x_i = 1
    edges    | (E, 2) | integer  | pairs i, j of 0..N-1, i != j
    pairwise | (E, 4) | floating | cost of (x_i, x_j) = 00, 01, 10, 11, with E01 + E10 >= E00 + E11
    returns  | (N,)   | bool     | x

    Exact where costs are integers and the pairwise costs at each node sum to at most 2^28; others are rounded to about
    2^-28 of the largest such sum.

    Raises:
        ShapeError: the arrays do not fit each other, or an edge is not submodular.

    Source: Kolmogorov and Zabih, "What energy functions can be minimized via graph cuts?", PAMI 2004.
    """
    count = len(unary)
    if unary.shape != (count, 2) or edges.shape != (len(edges), 2) or pairwise.shape != (len(edges), 4):
        raise ShapeError(
            f"unary (N, 2), edges (E, 2) and pairwise (E, 4) are needed, got {unary.shape}, {edges.shape}, "
            f"{pairwise.shape}"
        )
    e00, e01, e10, e11 = pairwise.T.astype(np.float64)
    i, j = edges[:, 0], edges[:, 1]
    # E(x_i, x_j) = E00 + (E10 - E00) x_i + (E11 - E10) x_j + bond (1 - x_i) x_j
    bond = e01 + e10 - e00 - e11
    if bond.size and bond.min() < -1e-9 * np.abs(pairwise).max():
        raise ShapeError("pairwise must be submodular, E01 + E10 >= E00 + E11, on every edge")
    bond = np.maximum(bond, 0)
    price = (unary[:, 1] - unary[:, 0]).astype(np.float64)  # cost of x_i = 1
    price += np.bincount(i, e10 - e00, count) + np.bincount(j, e11 - e10, count)
    # a price beyond the sum of its bonds decides the node: clipping it keeps the minimum, and precision
    reach = np.bincount(i, bond, count) + np.bincount(j, bond, count)
    limit = 2 * reach.max(initial=0)
    if limit == 0:
        return price < 0
    clipped = np.clip(price, -2 * reach, 2 * reach)
    scale = 2.0 ** np.floor(np.log2(2**29 / limit))  # a power of two: integers stay exact

    # x = 1 is the source side: x_i = 1 cuts i -> sink, x_i = 0 cuts source -> i, (0, 1) cuts j -> i.
    node = np.arange(count)
    source, sink = np.full(count, count), np.full(count, count + 1)
    arcs = np.concatenate([np.stack([node, sink], 1), np.stack([source, node], 1), np.stack([j, i], 1)])
    cost = np.concatenate([np.maximum(clipped, 0), np.maximum(-clipped, 0), bond])
    capacity = np.rint(cost * scale).astype(np.int64)
    used = capacity > 0
    side = minimum_cut(count + 2, count, count + 1, arcs[used], capacity[used])
    # decided nodes by their own price: if the reach is tiny, the clipped price may have been rounded to 0
    return np.where(np.abs(price) > reach, price < 0, side[:count])
