"""Train SegNet's added layers on cached features, by minibatch SGD; an interrupted training resumes to the bit.

Paper: sections 3.1 and 5. It gives no batch size, learning rate or clipping; the defaults are ours.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace

from tinysegrank.backend import Array, to_numpy
from tinysegrank.config import Options, option
from tinysegrank.errors import ConfigError, TrainingError
from tinysegrank.files import reading
from tinysegrank.losses import TABLE, CorpusCounts, named
from tinysegrank.nn.layer import Gradients
from tinysegrank.nn.sgd import SGD, step_schedule
from tinysegrank.segnet.batches import Batch, BatchReader
from tinysegrank.segnet.corpus import COUNTS, CountsKeeper
from tinysegrank.segnet.device import on_its_device
from tinysegrank.segnet.features import FeatureStore
from tinysegrank.segnet.full_batch import full_batch_gradients
from tinysegrank.segnet.network import SegNet
from tinysegrank.segnet.resume import part, restore_state, write_state
from tinysegrank.segnet.weights import fault_in


@dataclass(frozen=True)
class TrainingOptions(Options):
    """Options of a training.

    Attributes:
        loss: a name in `losses.TABLE`, such as "ce", "uoi", "iou", "uoi+ce", "soft_dice" or "lovasz_softmax".
        steps: number of minibatches; with counts="full", number of passes over all rows.
        rate: learning rate, divided by 10 after the share `drop_at` of the steps.
        batch: rows per minibatch; a mirror image has a row of its own.
        momentum, decay, max_norm: arguments of `nn.SGD`; max_norm 0 turns clipping off.
        min_mass: target mass, in cells, below which a class is left out of losses that average over classes.
        counts: the rows over which UOI, IOU and Dice sum before they divide, see `segnet.corpus`. "batch": those of the
            minibatch, as in the paper. "running": an average over minibatches. "corpus": all rows, counted once per
            epoch. "full": all rows, counted in each step, which takes some 1.7 times as long as an epoch of the others;
            use far fewer steps and a higher rate.
            A loss that isn't a function of sums, such as Lovasz-Softmax, supports "batch" only.

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


class Record(NamedTuple):
    """One line of a training's log: the mean loss of the last `log_every` steps."""

    step: int
    loss: float


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
    """Train the head in place on some images of a store and their mirror images; return the log.

    images | (n,) | int | indices of images in the store; no others are read

    Random numbers depend on the seed and the step alone, so a training that resumes from its checkpoint gives the same
    result as an uninterrupted one, to the bit.

    Args:
        checkpoint: file to resume from. It is written at the end, and along with the log once `checkpoint_every` steps
            have passed since it was last written.
        log_every: number of steps per line of the log.
        progress: called with the step and the mean loss at each line of the log.

    Raises:
        TrainingError: there are no images, the loss or a parameter is not finite, or a layer's weights are all 0.
        CheckpointError: the checkpoint is damaged or belongs to another training.
    """
    rows = store.rows_of(np.sort(np.asarray(images)))
    if not len(rows):
        raise TrainingError("no training images; check the split, --limit and the number of folds")
    run = _Run(model, store, rows, options, seed, log_every)
    records = run.restore(checkpoint) if checkpoint is not None and checkpoint.is_file() else []
    while run.step < options.steps:
        run.advance()
        if run.step % log_every == 0 or run.step == options.steps:
            losses = run.last_losses()
            if not np.isfinite(losses).all():
                run.refuse(losses)
            mean = float(np.mean(losses))
            records.append(Record(run.step, mean))
            if progress is not None:
                progress(run.step, mean)
        due = run.step % log_every == 0 and run.step - run.saved >= checkpoint_every
        if run.step == options.steps or (checkpoint is not None and due):
            run.check()  # the last step's loss was computed before that step
            if checkpoint is not None:
                run.save(checkpoint, records)
    return records


class _Run:
    """The state of one training between steps."""

    def __init__(
        self,
        model: SegNet,
        store: FeatureStore,
        rows: np.ndarray,
        options: TrainingOptions,
        seed: int,
        log_every: int,
    ) -> None:
        self.model, self.rows, self.options, self.seed = model, rows, options, seed
        self.loss = named(options.loss, min_mass=options.min_mass)
        self.batch = min(options.batch, len(rows))
        self.epoch_length = len(rows) // self.batch
        self.counts = CountsKeeper(options.counts, model.num_classes, self._corpus_counts)
        self.sgd = options.optimiser()
        reads = options.steps * (2 * len(rows) if options.counts == "full" else self.batch)
        self.read = BatchReader(store, rows, model.backend, reads=reads)
        self.losses: deque[Array] = deque(maxlen=log_every)
        self.step = self.saved = 0

    def advance(self) -> None:
        """Take one step of SGD and record its loss."""
        value, gradients = self._full_batch() if self.options.counts == "full" else self._minibatch()
        drop = round(self.options.drop_at * self.options.steps)
        rate = step_schedule(self.options.rate, self.step, drops=(drop,))
        self.model.network.assign(self.sgd.step(self.model.trainable, gradients, rate=rate))
        self.losses.append(value)
        self.step += 1

    def last_losses(self) -> np.ndarray:
        """Return the losses of the last `log_every` steps, or of all steps if there are fewer."""
        xp = array_namespace(*self.losses)
        return to_numpy(xp.stack(list(self.losses)))  # one wait for the device

    def _minibatch(self) -> tuple[Array, Gradients]:
        """Return loss and gradients of the next minibatch in this epoch's order."""
        epoch, place = divmod(self.step, self.epoch_length)
        if place == 0:
            self.counts.start_epoch()
        order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        features, target, weight = self.read(order[place * self.batch : (place + 1) * self.batch])
        z = self.model.forward_features(features, rng=np.random.default_rng([self.seed, self.step, 1]))
        counts, share = self.counts.present(z, target, weight)
        value, grad_z = self.loss(z, target, weight, counts=counts)
        return value, self.model.backward(grad_z if counts is None else grad_z * share)

    def _full_batch(self) -> tuple[Array, Gradients]:
        """Return loss and gradients of all rows together."""

        def generator(number: int) -> np.random.Generator:
            return np.random.default_rng([self.seed, self.step, 1, number])

        return full_batch_gradients(self.model, self.loss, self._batches, generator=generator)

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

    def check(self) -> None:
        """Check that the last step left usable parameters.

        Raises:
            TrainingError: a parameter is not finite, or a layer's weights are all 0.
        """
        if fault := fault_in({name: to_numpy(array) for name, array in self.model.trainable.items()}):
            raise TrainingError(f"{fault} after step {self.step}: the training diverged; lower its rate")

    def refuse(self, losses: np.ndarray) -> None:
        """Raise the TrainingError for the last losses, of which some are not finite."""
        first = int(np.isfinite(losses).argmin())
        fault = fault_in({name: to_numpy(array) for name, array in self.model.trainable.items()})
        raise TrainingError(
            f"the {self.options.loss} loss is {losses[first]} at step {self.step - len(losses) + first + 1}"
            f"{f' and {fault}' if fault else ''}: the training diverged; lower its rate, raise min_mass, or use "
            f'counts="running"'
        )

    def save(self, path: Path, records: list[Record]) -> None:
        """Write the network's state, the step, counts, recent losses and log."""
        own = {f"counts/{name}": array for name, array in self.counts.state().items()}
        own |= {"losses": self.last_losses(), "records": np.array(records, np.float64).reshape(-1, 2)}
        about = {"step": str(self.step), "training": self._identity()}
        write_state(path, self.model.network, self.sgd, own, about)
        self.saved = self.step

    def restore(self, path: Path) -> list[Record]:
        """Restore the state that `save` wrote; return the log so far."""
        network, backend = self.model.network, self.model.backend
        arrays, about = restore_state(path, network, self.sgd, training=self._identity(), backend=backend)
        with reading(path):
            self.step = self.saved = int(about["step"])
            if self.step < 0 or arrays["losses"].ndim != 1:
                raise ValueError(f"step {self.step}, losses {arrays['losses'].shape}")
            self.counts.restore(part(arrays, "counts"))
            self.losses.extend(backend.asarray(loss) for loss in arrays["losses"])
            return [Record(int(step), float(loss)) for step, loss in arrays["records"]]

    def _identity(self) -> str:
        """Return a text that identifies this training by its options, seed, rows and network."""
        model, rows = self.model, hashlib.sha256(np.asarray(self.rows, "<i8").tobytes()).hexdigest()
        shapes = {name: tuple(array.shape) for name, array in model.trainable.items()}
        return repr((self.options, self.seed, rows, model.preset_name, model.feature_scale, model.dropout, shapes))
