"""Minimum cuts by SciPy's maximum flow, or by Numba, and minimisation of binary energies by a cut.

SciPy's capacities are 32-bit integers, and larger ones wrap around silently, so they are checked and scaled here.
"""

from __future__ import annotations

import numpy as np

from tinysegrank.backend import accelerated
from tinysegrank.errors import ShapeError

LARGEST_CAPACITY = 2**31 - 1


def minimum_cut(nodes: int, source: int, sink: int, arcs: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """Find the smallest source side among the minimum cuts of a directed graph with nodes 0..nodes-1.

    arcs     | (A, 2)   | integer | tail and head of each arc; duplicates are summed
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
    ends = tuple(arcs.astype(np.int32).T)
    graph = csr_array((capacity.astype(np.int64), ends), shape=(nodes, nodes))  # duplicates are summed
    # Flow one way adds to the residual the other way, so the two capacities between a pair share the 32 bits.
    if (graph + graph.T).max() > LARGEST_CAPACITY:
        raise ShapeError(f"capacity: the arcs between two nodes sum to more than {LARGEST_CAPACITY}; scale it down")
    residual = graph - maximum_flow(graph.astype(np.int32), source, sink).flow  # in 64 bits: up to twice a capacity
    reached = np.zeros(nodes, dtype=bool)
    reached[breadth_first_order(residual > 0, source, return_predecessors=False)] = True
    return reached


def nested_cuts(edges: np.ndarray, forward: np.ndarray, backward: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Find the smallest source side among the minimum cuts of S nodes, for each of B hypotheses and L steps.

    edges    | (E, 2)    | integer | pairs of nodes i, j of 0..S-1; pairs may be duplicated
    forward  | (E,)      | int64   | at least 0: capacity of the arc from i to j
    backward | (E,)      | int64   | at least 0: capacity of the arc from j to i
    gain     | (B, L, S) | int64   | capacity from the source, or if negative, to the sink; never falling along L
    returns  | (B, L, S) | bool    | True on the source side

    The Numba version `fast_maxflow.nested_cuts`, which keeps the flow from step to step, runs unless
    TINYSEGRANK_ACCELERATE=0; the results are the same. Here each step is a maximum flow from scratch.

    Raises:
        ShapeError: see `minimum_cut`; the Numba version does not check.
    """
    if accelerated():
        from tinysegrank.proposals.crf import fast_maxflow  # compiled on first use

        return fast_maxflow.nested_cuts(edges, forward, backward, gain)
    count = gain.shape[2]
    node, source, sink = np.arange(count), np.full(count, count), np.full(count, count + 1)
    arcs = np.concatenate([edges, edges[:, ::-1], np.stack([source, node], 1), np.stack([node, sink], 1)])
    found = np.zeros(gain.shape, np.bool_)
    for place in np.ndindex(gain.shape[:2]):
        capacity = np.concatenate([forward, backward, np.maximum(gain[place], 0), np.maximum(-gain[place], 0)])
        found[place] = minimum_cut(count + 2, count, count + 1, arcs, capacity)[:count]
    return found


def minimise_binary(price: np.ndarray, edges: np.ndarray, bond: np.ndarray) -> np.ndarray:
    """Minimise sum_i price_i x_i + sum_ij bond_ij (1 - x_i) x_j by one cut; of several minima, take the fewest x = 1.

    price   | (N,)   | float64 | cost of x_i = 1
    edges   | (E, 2) | integer | pairs i, j of 0..N-1
    bond    | (E,)   | float64 | at least 0: cost of x_i = 0 with x_j = 1
    returns | (N,)   | bool    | x

    Exact where costs are integers and the bonds at each node sum to at most 2^28; other costs are rounded to about
    2^-28 of the largest sum of a node's bonds.

    Source: Kolmogorov and Zabih, "What energy functions can be minimized via graph cuts?", PAMI 2004.
    """
    # a price beyond the sum of its bonds decides the node: clipping it keeps the minimum, and precision
    reach = np.bincount(edges[:, 0], bond, len(price)) + np.bincount(edges[:, 1], bond, len(price))
    limit = 2 * reach.max(initial=0)
    if limit == 0:
        return price < 0
    scale = 2.0 ** np.floor(np.log2(2**29 / limit))  # a power of two: integers stay exact
    gain = np.rint(np.clip(-price, -2 * reach, 2 * reach) * scale).astype(np.int64)
    capacity = np.rint(bond * scale).astype(np.int64)
    # x = 1 is the source side: x_i = 1 cuts i -> sink, x_i = 0 cuts source -> i, (0, 1) cuts j -> i
    side = nested_cuts(edges, np.zeros_like(capacity), capacity, gain[None, None])[0, 0]
    # decided nodes by their own price: if the reach is tiny, the clipped price may have been rounded to 0
    return np.where(np.abs(price) > reach, price < 0, side)
