"""A Potts conditional random field over superpixels, as an engine of `divmbest`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals.crf.expansion import check_potts, expansion, potts_energy
from tinysegrank.proposals.divmbest import Proposal
from tinysegrank.superpixels import RegionGraph


def potts_weights(graph: RegionGraph, *, strength: float) -> np.ndarray:
    """Return the contrast-sensitive Potts weights, strength * boundary * exp(-contrast / (2 * mean contrast)).

    returns | (E,) | float64 | in nats, for each edge of the graph

    `strength` is the cost of one pair of neighbouring pixels in different superpixels if there is no contrast. The mean
    is over all such pairs; if it is 0, every pair costs `strength`.

    Raises:
        ConfigError: `strength` is negative or not finite.

    Source: Boykov and Jolly, "Interactive graph cuts", ICCV 2001.
    """
    if not 0 <= strength < float("inf"):
        raise ConfigError(f"strength must be at least 0 and finite, got {strength}")
    pairs = graph.boundary.sum()
    mean = (graph.contrast * graph.boundary).sum() / pairs if pairs else 0.0
    decay = np.exp(-graph.contrast / (2 * mean)) if mean > 0 else np.ones_like(graph.contrast)
    return strength * graph.boundary * decay


@dataclass(frozen=True, eq=False)
class CrfState:
    """Unary costs with the penalties added so far, and the labelling to start from.

    unary | (S, K) | float64 | cost of each class for a whole superpixel, nats
    start | (S,)   | integer | the previous solution; None before the first
    """

    unary: np.ndarray
    start: np.ndarray | None


class CrfEngine:
    """Engine of the energy E(y) = sum_i area_i * unary_i(y_i) + sum_ij w_ij [y_i != y_j], by alpha-expansion.

    unary       | (S, K) | floating | cost of each class, nats per pixel of the superpixel; K at most 255
    edges       | (E, 2) | integer  | neighbouring superpixels
    weights     | (E,)   | floating | at least 0, nats
    superpixels | (H, W) | integer  | 0..S-1

    Diversity is the Hamming distance in pixels: after a solution, `lam` nats per pixel are added to the cost of its
    label at every superpixel, on top of all earlier penalties (the cumulative, Lagrangian form).

    Raises:
        ShapeError: the arrays do not fit each other, a cost or weight is not finite, a weight is negative, or K is
            above 255.
    """

    def __init__(self, unary: np.ndarray, edges: np.ndarray, weights: np.ndarray, superpixels: np.ndarray) -> None:
        check_potts(unary, edges, weights)
        if superpixels.size == 0 or superpixels.min() < 0 or superpixels.max() + 1 != len(unary):
            raise ShapeError(f"superpixels must be numbered 0..{len(unary) - 1}, one row of unary each")
        if unary.shape[1] > 255:
            raise ShapeError(f"unary has {unary.shape[1]} classes; labels are 8-bit with 255 for void, so at most 255")
        self.superpixels = superpixels
        self.edges = edges
        self.weights = weights.astype(np.float64)
        self.areas = np.bincount(superpixels.ravel(), minlength=len(unary))  # (S,)
        self.unary = unary.astype(np.float64) * self.areas[:, None]  # (S, K)

    def initial(self) -> CrfState:
        """Return the state without penalties, from which no solution is known yet."""
        return CrfState(self.unary, None)

    def solve(self, state: CrfState) -> Proposal:
        """Find a labelling of low penalised energy; its score is minus its energy without penalties."""
        return self.proposal(expansion(state.unary, self.edges, self.weights, start=state.start)[0])

    def proposal(self, nodes: np.ndarray) -> Proposal:
        """Return the proposal with labels (S,) of the superpixels; its score is minus its energy without penalties."""
        energy = potts_energy(nodes, self.unary, self.edges, self.weights)
        return Proposal(nodes.astype(np.uint8)[self.superpixels], -energy, nodes)

    def diversify(self, state: CrfState, found: Proposal, lam: float) -> CrfState:
        """Return the state after `found`: its labels cost `lam` nats per pixel more, and the search starts from it."""
        unary = state.unary.copy()
        unary[np.arange(len(unary)), found.nodes] += lam * self.areas
        return CrfState(unary, found.nodes)
