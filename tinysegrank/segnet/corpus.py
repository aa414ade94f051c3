"""Which counts a training step's loss is taken against: the batch's own, a running average, or the whole corpus.

"batch" is the paper's: the corpus is the minibatch. "running" adds this batch's counts to an exponential average of
earlier ones. "corpus" counts all training rows without dropout at the start of each epoch; within the epoch these are
stale, as the network moves on. The gradient's rows are scaled by the counts' weight over the batch's, so that one
learning rate serves all. "full" keeps nothing from step to step: each step counts all rows anew, see
`segnet.full_batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.errors import ConfigError
from tinysegrank.losses import CorpusCounts

COUNTS = ("batch", "running", "corpus", "full")
_FIELDS = ("intersection", "cardinality", "mass", "weight", "cross_entropy")


class CountsKeeper:
    """Keeps the counts between steps.

    Args:
        mode: one of COUNTS; "full" holds nothing and has no use for `present`.
        num_classes: K.
        whole: computes the counts of all training rows; called in "corpus" mode only.
        decay: of the running average.

    Raises:
        ConfigError: an unknown mode.
    """

    def __init__(self, mode: str, num_classes: int, whole: Callable[[], CorpusCounts], *, decay: float = 0.9) -> None:
        if mode not in COUNTS:
            raise ConfigError(f'counts="{mode}": choose one of {", ".join(COUNTS)}')
        self.mode, self.num_classes, self.whole, self.decay = mode, num_classes, whole, decay
        self.held: CorpusCounts | None = None

    def start_epoch(self) -> None:
        """Refresh the corpus counts."""
        if self.mode == "corpus":
            self.held = self.whole()

    def present(self, z: Array, target: Array, weight: Array) -> tuple[CorpusCounts | None, float]:
        """The counts for this batch's loss, and the factor of its gradient."""
        if self.mode == "batch":
            return None, 1.0
        batch = CorpusCounts(self.num_classes).update(z, target, weight)
        if self.mode == "running":
            self.held = batch if self.held is None else self.held.scaled(self.decay).merge(batch.scaled(1 - self.decay))
        if self.held is None or batch.weight == 0:
            return self.held, 0.0
        return self.held, self.held.weight / batch.weight

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps."""
        return {} if self.held is None else {field: np.asarray(getattr(self.held, field)) for field in _FIELDS}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take the counts of a checkpoint."""
        if state:
            self.held = CorpusCounts(self.num_classes)
            for field in _FIELDS:  # a file may hand a number back as an array of one
                number = isinstance(getattr(self.held, field), float)
                setattr(self.held, field, state[field].item() if number else state[field].copy())
