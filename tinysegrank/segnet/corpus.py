"""The sums (`CorpusCounts`) that a loss such as IoU, a ratio of sums, uses in a training step.

In mode "batch", the paper's choice, they are sums over the minibatch. "running" is an exponential average over this and
earlier batches. "corpus" sums over all training rows, without dropout, at the start of each epoch; within the epoch
these sums get stale, as the network moves on. In "running" and "corpus", the gradient is multiplied by the total weight
of the counts divided by that of the batch, so that one learning rate suits every mode. "full" keeps nothing between
steps: each step sums over all rows anew (see `segnet.full_batch`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from array_api_compat import array_namespace, device

from tinysegrank.backend import Array, to_numpy
from tinysegrank.losses import CorpusCounts

COUNTS = ("batch", "running", "corpus", "full")
DECAY = 0.9  # share of the old counts in the running average


class CountsKeeper:
    """Keeps the counts that a training's loss uses, from step to step.

    Args:
        mode: one of COUNTS; with "full", nothing is kept and `present` is not called.
        num_classes: number of classes K.
        whole: returns the counts of all training rows; called in "corpus" mode only.
    """

    def __init__(self, mode: str, num_classes: int, whole: Callable[[], CorpusCounts]) -> None:
        self.mode, self.num_classes, self.whole = mode, num_classes, whole
        self.held: CorpusCounts | None = None

    def start_epoch(self) -> None:
        """Recount all training rows, if the mode is "corpus"."""
        if self.mode == "corpus":
            self.held = self.whole()

    def present(self, z: Array, target: Array, weight: Array) -> tuple[CorpusCounts | None, Array]:
        """Return the counts to pass to the loss for a batch, and the factor () to multiply its gradient by.

        z      | (N, K, h, w) | floating | class scores
        target | (N, K, h, w) | floating | class shares
        weight | (N, h, w)    | floating | 0 where void

        Instead of counts, return None in mode "batch": the loss then uses the batch's own.
        """
        if self.mode == "batch":
            return None, array_namespace(z).ones((), dtype=z.dtype, device=device(z))
        batch = CorpusCounts(self.num_classes).update(z, target, weight)
        if self.mode == "running":
            self.held = batch if self.held is None else self.held.scaled(DECAY).merge(batch.scaled(1 - DECAY))
        return self.held, (self.held or CorpusCounts(self.num_classes)).weight_ratio(batch, z)

    def state(self) -> dict[str, np.ndarray]:
        """Return {"counts": their sums, on the host} for a checkpoint, or {} if none are kept."""
        return {} if self.held is None else {"counts": to_numpy(self.held.sums)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore the counts that `state` returned, if the mode keeps any."""
        if self.mode in ("running", "corpus"):
            self.held = CorpusCounts(self.num_classes)
            self.held.sums = state["counts"]
