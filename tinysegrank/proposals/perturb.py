"""Perturb-and-MAP: labellings that are best under random noise, to compare the diversity of DivMBest with."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tinysegrank.errors import ConfigError
from tinysegrank.proposals.divmbest import Engine, Proposal, State, check_count


class PerturbedEngine(Engine[State], Protocol[State]):
    """An engine that can also add noise to its own unary terms."""

    def perturb(self, rng: np.random.Generator, scale: float) -> State:
        """Return the model without penalties, plus `scale` times Gumbel noise on each label of each node."""
        ...


def perturb_and_map(
    engine: PerturbedEngine[State], scale: float, count: int, rng: np.random.Generator
) -> list[Proposal]:
    """Find the best labelling, and the best ones under fresh noise each time; scores are under the original model.

    Args:
        engine: the model of one image.
        scale: of the noise, in the unit of the engine's `lam`; 0 repeats the best labelling.
        count: M, how many; equal ones are kept.
        rng: where the noise comes from.

    Raises:
        ConfigError: `scale` is negative or not finite, or `count` is below 1.

    Source: Papandreou and Yuille, "Perturb-and-MAP Random Fields", ICCV 2011; the `perturb` variant of the DivMBest
    release.
    """
    if not 0 <= scale < float("inf"):
        raise ConfigError(f"scale must be at least 0 and finite, got {scale}")
    check_count(count)
    noisy = [engine.solve(engine.perturb(rng, scale)) for _ in range(count - 1)]
    return [engine.solve(engine.initial()), *noisy]
