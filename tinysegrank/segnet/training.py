"""Train SegNet's head on conv5's features from disk by minibatch SGD.

Paper: sections 3.1 and 5. It gives no batch size, learning rate or clipping; the defaults are ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.config import Options, option
from tinysegrank.errors import ConfigError, TrainingError
from tinysegrank.losses import TABLE, CorpusCounts, named
from tinysegrank.nn.layer import Gradients
from tinysegrank.nn.sgd import SGD
from tinysegrank.segnet.batches import Batch, BatchReader
from tinysegrank.segnet.corpus import COUNTS, CountsKeeper
from tinysegrank.segnet.features import FeatureStore
from tinysegrank.segnet.full_batch import full_batch_gradients
from tinysegrank.segnet.network import SegNet, on_its_device
from tinysegrank.segnet.training_loop import Record, TrainingLoop


@dataclass(frozen=True)
class TrainingOptions(Options):
    """Options of a training of SegNet's head.

    Attributes:
        loss: a name in `losses.TABLE`, such as "ce", "uoi", "iou", "uoi+ce", "soft_dice" or "lovasz_softmax".
        steps: number of minibatches; with counts="full", number of steps on all rows.
        rate: learning rate, divided by 10 after the share `drop_at` of the steps.
        batch: rows per minibatch; a mirror image has a row of its own.
        momentum, decay, max_norm: arguments of `nn.SGD`; max_norm 0 turns clipping off.
        min_mass: losses that average over classes leave out a class with a smaller target mass, in cells.
        counts: rows over which UOI, IOU and Dice sum before they divide. "batch": those of the minibatch, as in the
            paper. "running": an average over minibatches. "corpus": all rows, counted once per epoch. "full": all rows,
            counted in each step; a step takes about 1.7 times as long as an epoch of the others, so use far fewer steps
            and a higher rate. A loss that isn't a function of sums, such as Lovasz-Softmax, supports "batch" only.

    Raises:
        ConfigError: a value is out of range, or the loss does not support these counts.
    """

    loss: str = option("ce", choices=TABLE)
    steps: int = option(1200, at_least=1)
    rate: float = option(0.02, at_least=0)
    drop_at: float = option(0.75, more_than=0, at_most=1)
    batch: int = option(64, at_least=1)
    momentum: float = option(0.9, at_least=0, less_than=1)
    decay: float = option(5e-4, at_least=0)
    max_norm: float = option(5.0, at_least=0)
    min_mass: float = option(10.0, at_least=0)
    counts: str = option("batch", choices=COUNTS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.counts != "batch":  # call the loss once, as it may not support counts
            z = np.zeros((1, 2, 1, 1))
            try:
                named(self.loss)(z, z + 0.5, counts=CorpusCounts(2).update(z, z + 0.5))
            except ConfigError as error:
                raise ConfigError(f'counts="{self.counts}": {error}') from error

    def optimiser(self) -> SGD:
        """Return a new optimiser with these options."""
        return SGD(rate=self.rate, momentum=self.momentum, decay=self.decay, max_norm=self.max_norm or None)


@on_its_device
def train(
    model: SegNet,
    store: FeatureStore,
    images: np.ndarray,
    options: TrainingOptions,
    *,
    seed: int,
    checkpoint: Path | None = None,
    checkpoint_every: int = 200,
    log_every: int = 20,
    progress: Callable[[int, float], None] | None = None,
) -> list[Record]:
    """Train the head in place on some images of a store, and on their mirror images if stored; return the log.

    images | (n,) | int | indices of images in the store; no others are read

    Random numbers depend on the seed and the step alone, so a training that resumes from its checkpoint gives the same
    result as an uninterrupted one, to the bit.

    Args:
        seed: random seed of the minibatches and of dropout.
        checkpoint: file to resume from, if it exists; written at the end, and at the first line of the log that is
            `checkpoint_every` steps or more after the last writing.
        log_every: number of steps per line of the log; the end is always logged.
        progress: called with the step and the mean loss at each line of the log.

    Raises:
        TrainingError: there are no images, the loss or a parameter is not finite, or a layer's weights are all 0.
        CheckpointError: the checkpoint is damaged, belongs to another training, or was written on another backend; or a
            chunk of the store is missing or damaged.
        ShapeError: an index is out of range, or a stored weight is negative or NaN.
    """
    rows = store.rows_of(np.sort(np.asarray(images)))
    if not len(rows):
        raise TrainingError("no training images; check the split, --limit and the number of folds")
    training = _Training(model, store, rows, options, seed, log_every)
    if checkpoint is not None and checkpoint.is_file():
        training.resume(checkpoint)
    return training.run(checkpoint=checkpoint, checkpoint_every=checkpoint_every, progress=progress)


class _Training(TrainingLoop):
    """The training of a head on rows of a store."""

    remedy = 'lower its rate, raise min_mass, or use counts="running"'

    def __init__(
        self, model: SegNet, store: FeatureStore, rows: np.ndarray, options: TrainingOptions, seed: int, log_every: int
    ) -> None:
        hashed = hashlib.sha256(np.asarray(rows, "<i8").tobytes()).hexdigest()
        shapes = {name: tuple(array.shape) for name, array in model.trainable.items()}
        identity = (options, seed, hashed, model.preset_name, model.feature_scale, model.dropout, shapes)
        super().__init__(
            model.network,
            model.backend,
            options.optimiser(),
            steps=options.steps,
            drop=round(options.drop_at * options.steps),
            log_every=log_every,
            identity=repr(identity),
        )
        self.model, self.rows, self.seed, self.loss_name = model, rows, seed, options.loss
        self.loss, self.full = named(options.loss, min_mass=options.min_mass), options.counts == "full"
        self.batch = min(options.batch, len(rows))
        self.epoch_length = len(rows) // self.batch
        self.counts = CountsKeeper(options.counts, model.num_classes, self._corpus_counts)
        self.read = BatchReader(
            store, rows, model.backend, reads=options.steps * (2 * len(rows) if self.full else self.batch)
        )

    def _loss_and_gradients(self) -> tuple[Array, Gradients]:
        if self.full:
            return full_batch_gradients(self.model, self.loss, self._batches, generator=self._generator)
        epoch, place = divmod(self.step, self.epoch_length)
        if place == 0:
            self.counts.start_epoch()
        order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        features, target, weight = self.read(order[place * self.batch : (place + 1) * self.batch])
        z = self.model.forward_features(features, rng=self._generator())
        counts, share = self.counts.present(z, target, weight)
        value, grad_z = self.loss(z, target, weight, counts=counts)
        return value, self.model.backward(grad_z if counts is None else grad_z * share)

    def _generator(self, *number: int) -> np.random.Generator:
        """Return the random generator for the dropout of this step, or of the batch of this number in the step."""
        return np.random.default_rng([self.seed, self.step, 1, *number])

    def _batches(self) -> Iterator[Batch]:
        """Yield all rows in order, one batch at a time."""
        for start in range(0, len(self.rows), self.batch):
            yield self.read(self.rows[start : start + self.batch])

    def _corpus_counts(self) -> CorpusCounts:
        """Return the counts of all training rows, without dropout."""
        counts = CorpusCounts(self.model.num_classes)
        for features, target, weight in self._batches():
            counts.update(self.model.head(features), target, weight)
        return counts

    def _state(self) -> dict[str, np.ndarray]:
        return self.counts.state()

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.counts.restore(arrays)
