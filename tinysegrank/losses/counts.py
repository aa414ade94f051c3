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
from array_api_compat import array_namespace, device, is_jax_array, is_numpy_array

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
        """Return value and gradient; with `counts`, those of the whole corpus, of the gradient this batch's rows."""


class CorpusCounts:
    """Sums over a corpus: each class's expected intersection, cardinality and target mass; weight and cross-entropy.

    Attributes:
        sums: (3 K + 2,) float64, all of them in this order; on the batches' device, so that adding one needs no wait.
            JAX's are on the host, as JAX has no float64 unless it is told to.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.sums: Array = np.zeros(3 * num_classes + 2)

    intersection = property(lambda self: self._part(0), doc="of each class, (K,) NumPy float64")
    cardinality = property(lambda self: self._part(1), doc="intersection plus union, (K,) NumPy float64")
    mass = property(lambda self: self._part(2), doc="of the truth, (K,) NumPy float64")
    weight = property(lambda self: float(self.sums[-2]), doc="sum over cells")
    cross_entropy = property(lambda self: float(self.sums[-1]), doc="sum over cells of weight times cross-entropy")

    def _part(self, number: int) -> np.ndarray:
        return to_numpy(self.sums)[number * self.num_classes : (number + 1) * self.num_classes]

    @half_in_float32
    def update(self, z: Array, target: Array, weight: Array | None = None) -> CorpusCounts:
        """Add a batch, z and target (N, K, H, W) with weight (N, H, W) or None, and return self.

        Raises:
            ShapeError: the arrays are not floating, do not fit each other or the number of classes, or a weight is
                negative.
        """
        check_loss_arguments("CorpusCounts", z, target, weight)
        if z.shape[1] != self.num_classes:
            raise ShapeError(f"CorpusCounts: z has {z.shape[1]} classes, the counts {self.num_classes}")
        xp = array_namespace(z)
        log_q, context = log_softmax(z, axis=1)
        batch = expected_counts(context.probabilities, target, weight)
        cross_entropy = -xp.sum(cell_weights(z, weight) * target * log_q)
        return self._add(_in_float64(xp.concat([xp.reshape(array, (-1,)) for array in (*batch, cross_entropy)])))

    def merge(self, other: CorpusCounts) -> CorpusCounts:
        """Add the counts of other batches, perhaps from another machine, and return self.

        Raises:
            ShapeError: the numbers of classes differ.
        """
        if other.num_classes != self.num_classes:
            raise ShapeError(f"CorpusCounts: {other.num_classes} classes do not merge with {self.num_classes}")
        return self._add(other.sums)

    def _add(self, sums: Array) -> CorpusCounts:
        """Add sums on their device, unless they are on the host and ours are not."""
        if is_numpy_array(self.sums) and not np.any(self.sums):  # nothing to move
            self.sums = sums
        elif is_numpy_array(sums):
            self.sums = self.sums + _moved(sums, self.sums)
        else:
            self.sums = _moved(self.sums, sums) + sums
        return self

    def scaled(self, factor: float) -> CorpusCounts:
        """Return a copy with every count multiplied by `factor`, for weighted averages of counts."""
        copy = CorpusCounts(self.num_classes)
        copy.sums = self.sums * factor
        return copy

    def like(self, z: Array) -> ExpectedCounts:
        """Return the counts as arrays of z's namespace and dtype, on its device."""
        K, sums = self.num_classes, _moved(self.sums, z)
        return ExpectedCounts(sums[:K], sums[K : 2 * K], sums[2 * K : 3 * K], sums[3 * K, ...])

    def cross_entropy_like(self, z: Array) -> Array:
        """Return the cross-entropy as an array () of z's namespace and dtype, on its device."""
        return _moved(self.sums, z)[3 * self.num_classes + 1, ...]

    def weight_ratio(self, batch: CorpusCounts, z: Array) -> Array:
        """Return the weight divided by a batch's, as an array () like z; 0 if the batch has none."""
        xp = array_namespace(batch.sums)
        total, own = (sums[3 * self.num_classes, ...] for sums in (_moved(self.sums, batch.sums), batch.sums))
        ratio = total / xp.where(own > 0, own, xp.ones_like(own))
        return _moved(xp.where(own > 0, ratio, xp.zeros_like(ratio)), z)


def _in_float64(sums: Array) -> Array:
    """Convert sums to float64, on the host if their device may lack it."""
    sums = sums.detach() if hasattr(sums, "detach") else sums  # torch
    if is_jax_array(sums) or "mps" in str(device(sums)):
        return to_numpy(sums).astype(np.float64)
    return array_namespace(sums).astype(sums, array_namespace(sums).float64)


def _moved(sums: Array, like: Array) -> Array:
    """Return sums in the library and dtype of another array, on its device."""
    xp = array_namespace(like)
    if array_namespace(sums) is xp and device(sums) == device(like):
        return xp.astype(sums, like.dtype, copy=False)
    return xp.asarray(to_numpy(sums).tolist(), dtype=like.dtype, device=device(like))
