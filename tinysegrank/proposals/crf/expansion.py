"""Alpha-expansion: approximate minimum of a Potts energy over many labels by a sequence of exact binary cuts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysegrank.backend import accelerated
from tinysegrank.errors import ShapeError
from tinysegrank.proposals.crf.maxflow import minimise_binary


def potts_energy(
    nodes: NDArray[np.integer], unary: NDArray[np.floating], edges: NDArray[np.integer], weights: NDArray[np.floating]
) -> float:
    """Return the energy of a labelling: its unary costs, plus the weight of each edge whose ends have different labels.

    nodes   | (N,)   | integer  | label of each node, 0..K-1
    unary   | (N, K) | floating | cost of each label at each node
    edges   | (E, 2) | integer  | pairs of nodes
    weights | (E,)   | floating | cost of differing labels
    """
    differ = nodes[edges[:, 0]] != nodes[edges[:, 1]]
    return float(np.take_along_axis(unary, nodes[:, None], axis=1).sum(dtype=np.float64) + weights[differ].sum())


def expansion(
    unary: NDArray[np.floating],
    edges: NDArray[np.integer],
    weights: NDArray[np.floating],
    *,
    start: NDArray[np.integer] | None = None,
) -> tuple[NDArray[np.intp], float]:
    """Lower a Potts energy by expansion moves until no move lowers it any further.

    unary   | (N, K) | floating | finite cost of each label at each node
    edges   | (E, 2) | integer  | pairs of nodes, 0..N-1
    weights | (E,)   | floating | finite, at least 0: cost of differing labels
    start   | (N,)   | integer  | first labelling; the cheapest label of each node if not given
    returns | (N,)   | intp     | labels
    and their energy.

    Apart from the rounding in `minimise_binary`, the energy is the minimum if K = 2. Otherwise it exceeds the minimum
    by at most the weights of the edges whose ends have different labels in the best labelling.

    Raises:
        ShapeError: the arrays do not fit each other, a cost is not finite, or a weight is negative.

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


def expand(
    nodes: NDArray[np.intp],
    alpha: int,
    unary: NDArray[np.float64],
    edges: NDArray[np.integer],
    weights: NDArray[np.float64],
) -> NDArray[np.intp]:
    """Find the best labelling in which each node keeps its label or takes `alpha`; of several, one with fewest moves.

    nodes   | (N,) | intp | labels; the other arguments are those of `expansion`
    returns | (N,) | intp | labels

    The Numba versions of its steps in `fast_expansion` run unless TINYSEGRANK_ACCELERATE=0; the results are the same.
    """
    if accelerated():
        from tinysegrank.proposals.crf.fast_expansion import binary_problem, gainers  # compiled on first use
    else:
        from tinysegrank.proposals.crf.expansion_steps import binary_problem, gainers
    price, candidate = gainers(nodes, alpha, unary, edges, weights)
    if not candidate.any():
        return nodes
    takes = minimise_binary(*binary_problem(nodes, alpha, price, candidate, edges, weights))
    moved = nodes.copy()
    moved[np.flatnonzero(candidate)[takes]] = alpha
    return moved


def check_potts(unary: NDArray[np.floating], edges: NDArray[np.integer], weights: NDArray[np.floating]) -> None:
    """Check that expansion moves can minimise a Potts energy.

    Raises:
        ShapeError: see `expansion`.
    """
    if unary.ndim != 2 or unary.shape[1] < 1 or edges.shape != (len(edges), 2) or weights.shape != (len(edges),):
        raise ShapeError(
            f"unary (N, K), edges (E, 2) and weights (E,) are needed, got {unary.shape}, {edges.shape}, {weights.shape}"
        )
    if edges.size and not 0 <= edges.min() <= edges.max() < len(unary):
        raise ShapeError(f"edges must name nodes of 0..{len(unary) - 1}")
    if not (np.isfinite(unary).all() and np.isfinite(weights).all()):
        raise ShapeError("unary and weights must be finite; replace infinite costs by large ones")
    if weights.size and weights.min() < 0:
        raise ShapeError("weights must be at least 0: a negative Potts weight is not submodular")
