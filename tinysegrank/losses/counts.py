"""Sums over a corpus, with which the loss and gradient of a whole corpus are computed batch by batch.

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
    """Protocol of a loss: z and target are (N, K, H, W), weight is (N, H, W), or None for 1 everywhere."""

    def __call__(
        self, z: Array, target: Array, weight: Array | None = None, *, counts: CorpusCounts | None = None
    ) -> tuple[Array, Array]:
        """Return the loss, an array (), and its gradient with respect to z.

        With `counts` of a corpus, return the loss of the whole corpus and this batch's rows of its gradient.
        """


class CorpusCounts:
    """Sums over a corpus: each class's expected intersection, cardinality and target mass; weight and cross-entropy.

    Attributes:
        sums: (3 K + 2,) float64, all sums in this order, on the device of the batches, so that `update` needn't wait
            for it; for JAX and Apple's MPS, which may lack float64, on the host.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.sums: Array = np.zeros(3 * num_classes + 2)

    intersection = property(lambda self: self._part(0), doc="expected, of each class, (K,) NumPy float64")
    cardinality = property(lambda self: self._part(1), doc="intersection plus union of each class, (K,) NumPy float64")
    mass = property(lambda self: self._part(2), doc="sum of the targets of each class, (K,) NumPy float64")
    weight = property(lambda self: float(self.sums[-2]), doc="sum of the cells' weights")
    cross_entropy = property(lambda self: float(self.sums[-1]), doc="sum over cells of weight times cross-entropy")

    def _part(self, number: int) -> np.ndarray:
        return to_numpy(self.sums)[number * self.num_classes : (number + 1) * self.num_classes]

    @half_in_float32
    def update(self, z: Array, target: Array, weight: Array | None = None) -> CorpusCounts:
        """Add a batch, z and target (N, K, H, W) with weight (N, H, W) or None (1 everywhere), and return self.

        Raises:
            ShapeError: the arrays are not floating, do not fit each other or the number of classes, or a NumPy weight
                is negative or NaN.
        """
        check_loss_arguments("CorpusCounts", z, target, weight)
        self._check(z)
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
            given = f"{other.num_classes} classes do not merge with {self.num_classes}"
            raise ShapeError(f"CorpusCounts: {given}; make all counts with one number of classes")
        return self._add(other.sums)

    def _check(self, z: Array) -> None:
        if (K := z.shape[1]) != self.num_classes:
            raise ShapeError(f"CorpusCounts: z has {K} classes, the counts {self.num_classes}; make CorpusCounts({K})")

    def _add(self, sums: Array) -> CorpusCounts:
        """Add `sums` to those held, and return self; the result is on a device if either was."""
        if is_numpy_array(self.sums) and not np.any(self.sums):  # nothing to move
            self.sums = sums
        elif is_numpy_array(sums):
            self.sums = self.sums + _moved(sums, self.sums)
        else:
            self.sums = _moved(self.sums, sums) + sums
        return self

    def scaled(self, factor: float) -> CorpusCounts:
        """Return a copy with every sum multiplied by `factor`, for weighted averages of counts."""
        copy = CorpusCounts(self.num_classes)
        copy.sums = self.sums * factor
        return copy

    def like(self, z: Array) -> ExpectedCounts:
        """Return the sums without the cross-entropy, as arrays of z's library and dtype on its device.

        Raises:
            ShapeError: z (N, K, H, W) has another number of classes.
        """
        self._check(z)
        K, sums = self.num_classes, _moved(self.sums, z)
        return ExpectedCounts(sums[:K], sums[K : 2 * K], sums[2 * K : 3 * K], sums[3 * K, ...])

    def cross_entropy_like(self, z: Array) -> Array:
        """Return the summed cross-entropy as an array () of z's library and dtype, on its device."""
        return _moved(self.sums, z)[3 * self.num_classes + 1, ...]

    def weight_ratio(self, batch: CorpusCounts, z: Array) -> Array:
        """Return the weight divided by the weight of `batch`, as an array () of z's library, dtype and device.

        It is 0 if `batch` has no weight.
        """
        xp = array_namespace(batch.sums)
        total, own = (sums[3 * self.num_classes, ...] for sums in (_moved(self.sums, batch.sums), batch.sums))
        ratio = total / xp.where(own > 0, own, xp.ones_like(own))
        return _moved(xp.where(own > 0, ratio, xp.zeros_like(ratio)), z)


def _in_float64(sums: Array) -> Array:
    """Return the sums in float64, as a NumPy array if their library or device may lack float64."""
    sums = sums.detach() if hasattr(sums, "detach") else sums  # torch
    if is_jax_array(sums) or "mps" in str(device(sums)):
        return to_numpy(sums).astype(np.float64)
    return array_namespace(sums).astype(sums, array_namespace(sums).float64)


def _moved(sums: Array, like: Array) -> Array:
    """Return `sums` as an array of the library, dtype and device of `like`."""
    xp = array_namespace(like)
    if array_namespace(sums) is xp and device(sums) == device(like):
        return xp.astype(sums, like.dtype, copy=False)
    return xp.asarray(to_numpy(sums).tolist(), dtype=like.dtype, device=device(like))
