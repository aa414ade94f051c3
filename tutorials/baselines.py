"""What page 11 compares DivMBest with: perturb-and-MAP, and the M best labellings without diversity."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ConfigError
from tinysegrank.proposals import CrfEngine, PasteEngine, Proposal
from tinysegrank.proposals.crf.crf import CrfState
from tinysegrank.proposals.divmbest import check_count
from tinysegrank.proposals.o2p.pasting import PasteState


def best_pastings(engine: PasteEngine, count: int) -> list[Proposal]:
    """Find the `count` pastings with the highest scores, exactly, best first; all of them if there are fewer.

    Pastings differ in the label of a segment; their pixels may agree, where one segment hides another.

    Pairs of class and segment are ranked by gain, and a pasting is the set of its pairs' ranks. Increasing one rank by
    one never increases the score, and such steps lead from the first n ranks to every set of n ranks. So the sets are
    found in order of score with a heap: it starts with the sets of the first 0, 1, ... ranks, and whenever the best set
    is removed, those one step from it are added. Sets with two classes on one segment are not pastings; their
    successors are added too, but they are not returned.

    Raises:
        ConfigError: `count` is below 1.
    """
    check_count(count)
    proposals = [engine.solve(engine.initial())]
    gains = engine.scores - engine.threshold  # (R, K-1)
    order = np.argsort(-gains, axis=None, kind="stable")
    segments, classes = np.unravel_index(order, gains.shape)
    ranked = gains[segments, classes]  # (R * (K-1),), falling

    def entry(ranks: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        price = engine.simplicity * sum(range(len(ranks)))
        return price - sum(ranked[rank] for rank in ranks), ranks

    heap = [entry(tuple(range(n))) for n in range(min(engine.most, len(gains)) + 1)]
    heapq.heapify(heap)
    seen = {ranks for _, ranks in heap}
    while heap and len(proposals) < count:
        _, ranks = heapq.heappop(heap)
        at = np.array(ranks, np.int64)
        if len(set(segments[at])) == len(at):
            found = engine.paste(segments[at], 1 + classes[at])
            if not np.array_equal(found.nodes, proposals[0].nodes):
                proposals.append(found)
        for n, (rank, limit) in enumerate(pairwise((*ranks, len(ranked)))):
            raised = (*ranks[:n], rank + 1, *ranks[n + 1 :])
            if rank + 1 < limit and raised not in seen:
                seen.add(raised)
                heapq.heappush(heap, entry(raised))
    return proposals


def best_labellings(engine: CrfEngine, count: int) -> list[Proposal]:
    """Find `count` distinct labellings of low energy; all of them if there are fewer.

    The first is that of `engine.solve`, the others follow by energy; one of them may have a lower energy than the
    first, since expansion moves do not always find the minimum.

    The search is best-first from the labelling of `engine.solve`: it repeatedly takes the labelling of lowest energy
    not taken yet, and adds those in which one superpixel has another label. Without Potts terms the result is the
    `count` best labellings. With them it is an approximation: a labelling that differs in several superpixels is found
    only if labellings between are good enough to be taken. Exact M-best solvers exist for trees, not for this graph.

    Raises:
        ConfigError: `count` is below 1.
    """
    check_count(count)
    first = engine.solve(engine.initial())
    start = np.asarray(first.nodes, np.int64)
    heap = [(-first.score, 0, start)]
    seen, taken = {start.tobytes()}, list[NDArray[np.int64]]()
    while heap and len(taken) < count:
        energy, _, nodes = heapq.heappop(heap)
        taken.append(nodes)
        changes = _flip_energies(engine, nodes).ravel()  # (S * K,)
        for flip in np.argsort(changes, kind="stable")[: count + len(nodes)]:  # S of them change nothing
            reached = nodes.copy()
            node, label = divmod(int(flip), engine.unary.shape[1])
            reached[node] = label
            if (key := reached.tobytes()) not in seen:
                seen.add(key)
                heapq.heappush(heap, (energy + float(changes[flip]), len(seen), reached))
    others = sorted((engine.proposal(nodes) for nodes in taken[1:]), key=lambda proposal: -proposal.score)
    return [first, *others]


def _flip_energies(engine: CrfEngine, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return by how much the energy changes if only superpixel s takes label k: (S, K), 0 at its present label."""
    agreeing = np.zeros_like(engine.unary)  # (S, K): weight of the neighbours that have the label
    for a, b in ((0, 1), (1, 0)):
        np.add.at(agreeing, (engine.edges[:, a], nodes[engine.edges[:, b]]), engine.weights)
    cost = engine.unary - agreeing
    return cost - np.take_along_axis(cost, nodes[:, None], axis=1)


def perturb_and_map(
    engine: CrfEngine | PasteEngine, scale: float, count: int, rng: np.random.Generator
) -> list[Proposal]:
    """Find the best labelling, and count - 1 others that are each the best under fresh noise.

    Scores are under the original model.

    Args:
        engine: the model of one image.
        scale: scale of the noise, in the unit of the engine's `lam`; 0 repeats the best labelling.
        count: number of labellings M; equal ones are kept.
        rng: random generator of the noise.

    Raises:
        ConfigError: `scale` is negative or not finite, or `count` is below 1.

    Source: Papandreou and Yuille, "Perturb-and-MAP Random Fields", ICCV 2011; the `perturb` variant of the DivMBest
    release.
    """
    if not 0 <= scale < float("inf"):
        raise ConfigError(f"scale must be at least 0 and finite, got {scale}")
    check_count(count)
    solve: Callable[..., Proposal] = engine.solve
    return [solve(engine.initial()), *(solve(perturbed(engine, scale, rng)) for _ in range(count - 1))]


def perturbed(engine: CrfEngine | PasteEngine, scale: float, rng: np.random.Generator) -> CrfState | PasteState:
    """Return an engine's model without penalties, plus `scale` times Gumbel noise on each label of each node."""
    if isinstance(engine, CrfEngine):
        return CrfState(engine.unary - scale * engine.areas[:, None] * rng.gumbel(size=engine.unary.shape), None)
    noise = scale * rng.gumbel(size=(len(engine.scores), 1 + engine.scores.shape[1]))  # (R, K)
    return PasteState(engine.scores + noise[:, 1:], engine.threshold + noise[:, 0])
