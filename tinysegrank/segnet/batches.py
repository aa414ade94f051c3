"""Read a training's batches to its device: from a copy of all rows there if it fits, otherwise from disk."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinysegrank.backend import Array, Backend
from tinysegrank.losses.expected import check_weights
from tinysegrank.segnet.features import FeatureStore

SHARE = 0.5  # of a device's free memory that the copy may take


class Batch(NamedTuple):
    """Features (N, C, 13, 13), float16 as stored or float32; target (N, K, 13, 13) and weight (N, 13, 13), float32."""

    features: Array
    target: Array
    weight: Array


class BatchReader:
    """Reads rows of a store to a device; on a GPU, keeps a copy of all of them there if it pays off and fits.

    Features are sent in float16, as the store keeps them, and converted to float32 on the device.

    rows | (R,) | int | all rows that will be read, ascending

    Args:
        reads: number of rows that will be read in all, repeats included; a copy is made only if it exceeds R.
    """

    def __init__(self, store: FeatureStore, rows: np.ndarray, backend: Backend, *, reads: int) -> None:
        self.store, self.rows, self.backend = store, rows, backend
        self.copy: Batch | None = None
        if reads > len(rows) and not backend.on_host:
            sizes = (array.nbytes for array in self._from_disk(rows[:1]))
            if len(rows) * sum(sizes) <= SHARE * backend.free_bytes():
                self.copy = self._copied()

    def __call__(self, rows: np.ndarray) -> Batch:
        """Return some of the rows on the device, in the order asked for; all float32."""
        xp, asarray = self.backend.xp, self.backend.asarray
        if self.copy is None:
            made = Batch(*map(asarray, self._from_disk(rows)))
        else:
            places = asarray(np.searchsorted(self.rows, rows))
            made = Batch(*(xp.take(array, places, axis=0) for array in self.copy))
        return made._replace(features=xp.astype(made.features, xp.float32, copy=False))

    def _from_disk(self, rows: np.ndarray) -> Batch:
        """Return rows on the host; features in float16 if the backend's library has it, otherwise in float32."""
        weight = self.store.gather("weights", rows)
        check_weights(str(self.store.folder), weight)
        target = self.store.gather("targets", rows).transpose(0, 3, 1, 2)  # (N, K, 13, 13)
        features = self.store.gather("features", rows)
        if not hasattr(self.backend.xp, "float16"):  # it isn't in the array API standard
            features = features.astype(np.float32)
        return Batch(features, np.ascontiguousarray(target), weight)

    def _copied(self, piece: int = 256) -> Batch:
        """Return all rows on the device, read and sent `piece` rows at a time."""
        xp, device, asarray = self.backend.xp, self.backend.device, self.backend.asarray

        def room(one: np.ndarray) -> Array:
            return xp.empty((len(self.rows), *one.shape[1:]), dtype=getattr(xp, one.dtype.name), device=device)

        copy = Batch(*map(room, self._from_disk(self.rows[:1])))
        for start in range(0, len(self.rows), piece):
            for whole, part in zip(copy, self._from_disk(self.rows[start : start + piece]), strict=True):
                whole[start : start + len(part)] = asarray(part)
        return copy
