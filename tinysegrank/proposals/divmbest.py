"""DivMBest: M diverse, good labellings of one image, each the best under a growing penalty on those before it.

An engine provides the energy, its solver and its kind of penalty; this file is only the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError

State = TypeVar("State")


class PastedSegments(NamedTuple):
    """The segments that a labelling is pasted from, the topmost first.

    classes | (n,) | integer  | 1..K-1
    scores  | (n,) | floating | score of the segment for its class, without penalties
    pixels  | (n,) | integer  | visible pixels of the segment, 0 if others hide it
    """

    classes: np.ndarray
    scores: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True, eq=False)
class Proposal:
    """One labelling of an image.

    labels   | (H, W) | uint8          | class of each pixel
    score    |        | float          | larger is better: minus the engine's original energy, without penalties
    nodes    | (N,)   | integer        | class of each of the engine's nodes, such as superpixels
    segments |        | PastedSegments | the segments pasted; None from an engine without segments
    """

    labels: np.ndarray
    score: float
    nodes: np.ndarray
    segments: PastedSegments | None = None


class Engine(Protocol[State]):
    """Interface of a model of one image for `divmbest`.

    A state holds the penalties so far. It is never changed in place.
    """

    def initial(self) -> State:
        """Return the model without any penalty."""

    def solve(self, state: State) -> Proposal:
        """Return the best labelling under the penalties in `state`, with its score under the original model."""

    def diversify(self, state: State, found: Proposal, lam: float) -> State:
        """Return `state` with a penalty `lam` on agreement with `found`; earlier penalties may be kept or dropped."""


def divmbest(engine: Engine[State], lam: float, count: int) -> list[Proposal]:
    """Find `count` diverse good labellings, the best one first.

    Args:
        engine: the model of one image.
        lam: weight of diversity, in the engine's unit; 0 repeats the best labelling.
        count: number of labellings M; equal ones are kept (`count_distinct` counts the different ones).

    Raises:
        ConfigError: `lam` is negative or not finite, or `count` is below 1.

    Source: Batra, Yadollahpour, Guzman-Rivera and Shakhnarovich, "Diverse M-Best Solutions in Markov Random Fields",
    ECCV 2012.
    """
    if not 0 <= lam < float("inf"):
        raise ConfigError(f"lam must be at least 0 and finite, got {lam}")
    check_count(count)
    state = engine.initial()
    proposals = [engine.solve(state)]
    while len(proposals) < count:
        state = engine.diversify(state, proposals[-1], lam)
        proposals.append(engine.solve(state))
    return proposals


def interleave(*lists: Sequence[Proposal], count: int) -> list[Proposal]:
    """Interleave proposals of one image: the first of each list, then the second of each, and so on.

    Args:
        lists: proposals of each engine, best first; the first proposal of the first list stays first.
        count: number of proposals to return; all if there are fewer.

    Proposals keep the scores of their own engines, which are not comparable: rank them by something else.

    Raises:
        ConfigError: there is no proposal, or `count` is below 1.
        ShapeError: proposals differ in size.
    """
    check_count(count)
    mixed = [p for of_rank in zip_longest(*lists) for p in of_rank if p is not None]
    if not mixed:
        raise ConfigError("lists: there is no proposal in them; give at least one")
    if len(shapes := {p.labels.shape for p in mixed}) > 1:
        raise ShapeError(f"lists: proposals of sizes {sorted(shapes)}; give those of one image")
    return mixed[:count]


def count_distinct(proposals: Sequence[Proposal]) -> int:
    """Count the distinct labellings among the proposals."""
    return len({proposal.labels.tobytes() for proposal in proposals})


def check_count(count: int) -> None:
    """Raise ConfigError unless at least one proposal is asked for."""
    if count < 1:
        raise ConfigError(f"count must be at least 1, got {count}")
