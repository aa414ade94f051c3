"""The loop of a training: steps of SGD, a log, and checkpoints to resume from, with the same result to the bit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace

from tinysegrank.backend import VARIABLE, Array, Backend, to_numpy
from tinysegrank.errors import CheckpointError, TrainingError, brief
from tinysegrank.files import read_about, read_arrays, reading, write_arrays
from tinysegrank.nn.layer import Gradients
from tinysegrank.nn.sequential import Sequential
from tinysegrank.nn.sgd import SGD, step_schedule
from tinysegrank.segnet.weight_files import fault_in


class Record(NamedTuple):
    """One line of a training's log: the number of steps taken, and the mean loss of the last `log_every` of them."""

    step: int
    loss: float


class TrainingLoop(ABC):
    """Base class of trainings, which take steps, and log the loss and write checkpoints between steps.

    Args:
        network: trained in place; its parameters are on the backend.
        sgd: the optimiser, with the learning rate of the first steps.
        steps: number of steps.
        drop: number of steps after which the rate is divided by 10.
        log_every: number of steps per line of the log.
        identity: text that identifies the training; a checkpoint of another one is refused.

    Attributes:
        step: number of steps taken.
        loss_name, remedy: for messages about a training that diverged.
    """

    loss_name: str
    remedy = "lower its rate"

    def __init__(
        self, network: Sequential, backend: Backend, sgd: SGD, *, steps: int, drop: int, log_every: int, identity: str
    ) -> None:
        self.network, self.backend, self.sgd, self.steps, self.drop = network, backend, sgd, steps, drop
        self.identity, self.log_every = identity, log_every
        self.step = self._saved = 0
        self._losses: deque[Array] = deque(maxlen=log_every)
        self._records: list[Record] = []

    @abstractmethod
    def _loss_and_gradients(self) -> tuple[Array, Gradients]:
        """Return the loss () of step `step`, counted from 0, and the gradients of the trainable parameters by name."""

    @abstractmethod
    def _state(self) -> dict[str, np.ndarray]:
        """Return further arrays for a checkpoint, by name."""

    @abstractmethod
    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `_state` returned from the arrays of a checkpoint, by name."""

    def run(
        self,
        *,
        checkpoint: Path | None = None,
        checkpoint_every: int,
        progress: Callable[[int, float], None] | None = None,
    ) -> list[Record]:
        """Take the steps that are left; return the log.

        Args:
            checkpoint: file written at the end, and at the first line of the log that is `checkpoint_every` steps or
                more after the last writing.
            progress: called with the step and the mean loss at each line of the log.

        Raises:
            TrainingError: the loss or a parameter is not finite, or a layer's weights are all 0.
        """
        while self.step < self.steps:
            value, gradients = self._loss_and_gradients()
            rate = step_schedule(self.sgd.rate, self.step, drops=(self.drop,))
            self.network.assign(self.sgd.step(self.network.trainable, gradients, rate=rate))
            self._losses.append(value)
            self.step += 1
            ended, logged = self.step == self.steps, self.step % self.log_every == 0
            if logged or ended:
                self._log(progress)
            due = logged and self.step - self._saved >= checkpoint_every
            if ended or (checkpoint is not None and due):
                if fault := self._fault():  # the loss was computed before the last step
                    raise TrainingError(f"{fault} after step {self.step}: the training diverged; {self.remedy}")
                if checkpoint is not None:
                    self._save(checkpoint)
        return self._records

    def _log(self, progress: Callable[[int, float], None] | None) -> None:
        losses = self._last_losses()
        if not np.isfinite(losses).all():
            first = int(np.isfinite(losses).argmin())
            step, fault = self.step - len(losses) + first + 1, self._fault()
            raise TrainingError(
                f"the {self.loss_name} loss is {losses[first]} at step {step}{f' and {fault}' if fault else ''}: "
                f"the training diverged; {self.remedy}"
            )
        self._records.append(Record(self.step, float(np.mean(losses))))
        if progress is not None:
            progress(*self._records[-1])

    def _last_losses(self) -> np.ndarray:
        """Return the losses of the last `log_every` steps, or of all steps if there are fewer."""
        return to_numpy(array_namespace(*self._losses).stack(list(self._losses)))  # one wait for the device

    def _fault(self) -> str | None:
        return fault_in({name: to_numpy(array) for name, array in self.network.trainable.items()})

    def _save(self, path: Path) -> None:
        arrays = {f"parameter/{name}": to_numpy(array) for name, array in self.network.trainable.items()}
        arrays |= {f"velocity/{name}": array for name, array in self.sgd.state().items()}
        arrays |= {"losses": self._last_losses(), "records": np.array(self._records, np.float64)}
        about = {"step": str(self.step), "training": self.identity, "backend": self.backend.kind}
        write_arrays(path, arrays | self._state(), about=about)
        self._saved = self.step

    def resume(self, path: Path) -> None:
        """Restore the network's trainable parameters, the optimiser and the log from a checkpoint.

        Raises:
            CheckpointError: the file is missing or damaged, belongs to another training, was written on another
                backend, lacks a parameter, or has a NaN, an infinity or a layer's weights that are all 0.
        """
        about, arrays = read_about(path), read_arrays(path)
        if about.get("training") != self.identity:
            raise CheckpointError(f"{path}: belongs to another training; delete it, or choose another folder")
        if (kind := about.get("backend", self.backend.kind)) != self.backend.kind:
            raise CheckpointError(
                f"{path}: was written by {brief(kind, 40)}, and {self.backend.kind} rounds otherwise; "
                f"set {VARIABLE} as it was, or delete the file"
            )
        parameters = _part(arrays, "parameter")
        if lacking := self.network.trainable.keys() - parameters.keys():
            raise CheckpointError(f"{path}: lacks {', '.join(sorted(lacking))}; delete it and run again")
        if fault := fault_in(parameters):
            raise CheckpointError(f"{path}: {fault}; delete it and run again")
        self.network.assign({name: self.backend.asarray(array) for name, array in parameters.items()})
        self.sgd.restore(_part(arrays, "velocity"), self.network.trainable)
        with reading(path):
            self.step = self._saved = int(about["step"])
            if self.step < 0 or arrays["losses"].ndim != 1:
                raise ValueError(f"step {self.step}, losses {arrays['losses'].shape}")
            self._losses.extend(self.backend.asarray(loss) for loss in arrays["losses"])
            self._records = [Record(int(step), float(loss)) for step, loss in arrays["records"]]
            self._restore(arrays)


def _part(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """Return the arrays named "kind/name" under "name"."""
    return {name.removeprefix(f"{kind}/"): array for name, array in arrays.items() if name.startswith(f"{kind}/")}
