"""The state of a training between two steps, as one safetensors file: written now and then, read to resume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinysegrank.backend import Backend, to_numpy
from tinysegrank.errors import CheckpointError
from tinysegrank.files import read_about, read_arrays, write_arrays
from tinysegrank.nn.sequential import Sequential
from tinysegrank.nn.sgd import SGD
from tinysegrank.segnet.weights import fault_in

Arrays = Mapping[str, np.ndarray]


def write_state(path: Path, network: Sequential, sgd: SGD, own: Arrays, about: Mapping[str, str]) -> None:
    """Write the trainable parameters, the velocities, and arrays and strings of the training's own.

    Args:
        about: includes "training", which identifies the training.
    """
    arrays = {f"parameter/{name}": to_numpy(array) for name, array in network.trainable.items()}
    arrays |= {f"velocity/{name}": array for name, array in sgd.state().items()}
    write_arrays(path, {**arrays, **own}, about=about)


def restore_state(
    path: Path, network: Sequential, sgd: SGD, *, training: str, backend: Backend
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Restore parameters and velocities that `write_state` wrote; return all arrays and strings.

    Raises:
        CheckpointError: the file is damaged, belongs to another training, or lacks a parameter or has an unusable one.
    """
    about, arrays = read_about(path), read_arrays(path)
    if about.get("training") != training:
        raise CheckpointError(f"{path}: belongs to another training; delete it, or choose another folder")
    parameters = part(arrays, "parameter")
    if lacking := network.trainable.keys() - parameters.keys():
        raise CheckpointError(f"{path}: lacks {', '.join(sorted(lacking))}; delete it and run again")
    if fault := fault_in(parameters):
        raise CheckpointError(f"{path}: {fault}; delete it and run again")
    network.assign({name: backend.asarray(array) for name, array in parameters.items()})
    sgd.restore(part(arrays, "velocity"), network.trainable)
    return arrays, about


def part(arrays: Arrays, kind: str) -> dict[str, np.ndarray]:
    """Return the arrays named "kind/name", by name."""
    return {name.removeprefix(f"{kind}/"): array for name, array in arrays.items() if name.startswith(f"{kind}/")}
