"""Sums over a corpus, with which a loss on a minibatch becomes the loss on the whole corpus.

The gradient of IOU, UOI or Dice at a cell depends on the other cells only through three sums per class, and that of
cross-entropy only through the total weight. So a first pass over the batches adds up the sums, and a second pass
backpropagates each batch with them: the gradients of the batches are then the rows of the exact corpus gradient. As the
sums simply add, counts from several machines can be merged.

Paper: section 3.2 calls IOU a corpus-level metric; the supplement, section 1, takes the pixels of a minibatch.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from array_api_compat import array_namespace, device

from tinysegrank.backend import Array, to_numpy
from tinysegrank.errors import ShapeError
from tinysegrank.losses.expected import ExpectedCounts, cell_weights, check_loss_arguments, expected_counts
from tinysegrank.nn.arguments import half_in_float32
from tinysegrank.nn.softmax import log_softmax


class Loss(Protocol):
    """A loss: (z, target, weight) to the 0-d value and the gradient with respect to z."""

    def __call__(
        self, z: Array, target: Array, weight: Array | None = None, *, counts: CorpusCounts | None = None
    ) -> tuple[Array, Array]:
        """Return value and gradient for z and target (N, K, H, W) and weight (N, H, W) or None.

        With `counts` of a corpus, return the loss of the whole corpus and this batch's rows of its gradient.
        """


class CorpusCounts:
    """Sums over a corpus: each class's expected intersection, cardinality and target mass; weight and cross-entropy.

    Attributes:
        intersection, cardinality, mass: (K,) NumPy float64; the cardinality is the intersection plus the union.
        weight, cross_entropy: floats, the sums over cells of the weight and of weight times cross-entropy.
    """

    def __init__(self, num_classes: int) -> None:
        self.intersection = np.zeros(num_classes)
        self.cardinality = np.zeros(num_classes)
        self.mass = np.zeros(num_classes)
        self.weight = 0.0
        self.cross_entropy = 0.0

    @half_in_float32
    def update(self, z: Array, target: Array, weight: Array | None = None) -> CorpusCounts:
        """Add a batch, z and target (N, K, H, W) with weight (N, H, W) or None, and return self.

        Raises:
            ShapeError: the arrays are not floating, do not fit each other or the number of classes, or a weight is
                negative.
        """
        check_loss_arguments("CorpusCounts", z, target, weight)
        if z.shape[1] != self.mass.shape[0]:
            raise ShapeError(f"CorpusCounts: z has {z.shape[1]} classes, the counts {self.mass.shape[0]}")
        xp = array_namespace(z)
        log_q, context = log_softmax(z, axis=1)
        batch = expected_counts(context.probabilities, target, weight)
        log_likelihood = xp.sum(cell_weights(z, weight) * target * log_q)
        numbers = xp.concat([xp.reshape(array, (-1,)) for array in (*batch, log_likelihood)])  # one wait for the device
        sums = np.split(to_numpy(numbers).astype(np.float64), np.cumsum([len(self.mass)] * 3 + [1]))
        self.intersection += sums[0]
        self.cardinality += sums[1]
        self.mass += sums[2]
        self.weight += float(sums[3][0])
        self.cross_entropy -= float(sums[4][0])
        return self

    def merge(self, other: CorpusCounts) -> CorpusCounts:
        """Add the counts of other batches, perhaps from another machine, and return self.

        Raises:
            ShapeError: the numbers of classes differ.
        """
        if other.mass.shape != self.mass.shape:
            raise ShapeError(f"CorpusCounts: {other.mass.shape[0]} classes do not merge with {self.mass.shape[0]}")
        self.intersection += other.intersection
        self.cardinality += other.cardinality
        self.mass += other.mass
        self.weight += other.weight
        self.cross_entropy += other.cross_entropy
        return self

    def scaled(self, factor: float) -> CorpusCounts:
        """Return a copy with every count multiplied by `factor`, for weighted averages of counts."""
        copy = CorpusCounts(self.mass.shape[0])
        copy.intersection, copy.cardinality = self.intersection * factor, self.cardinality * factor
        copy.mass = self.mass * factor
        copy.weight, copy.cross_entropy = self.weight * factor, self.cross_entropy * factor
        return copy

    def like(self, z: Array) -> ExpectedCounts:
        """Return the counts as arrays of z's namespace and dtype, on its device."""
        xp = array_namespace(z)

        def convert(array: np.ndarray | float) -> Array:
            return xp.asarray(np.asarray(array).tolist(), dtype=z.dtype, device=device(z))

        return ExpectedCounts(*(convert(a) for a in (self.intersection, self.cardinality, self.mass, self.weight)))
