"""A SegNet in one safetensors file: its parameters, and in the header what is needed to build it again."""

from __future__ import annotations

from pathlib import Path

from tinysegrank.backend import Backend, get_backend, to_numpy
from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.files import write_arrays
from tinysegrank.fitted import damaged, read_checked
from tinysegrank.segnet.network import SegNet

FORMAT = "tinysegrank.segnet.1"


def save_segnet(path: Path | str, model: SegNet) -> None:
    """Write the network, atomically."""
    about = {
        "format": FORMAT,
        "preset": model.preset_name,
        "num_classes": str(model.num_classes),
        "feature_scale": repr(model.feature_scale),
        "dropout": repr(model.dropout),
        "frozen": " ".join(sorted(model.network.frozen)),
    }
    write_arrays(path, {name: to_numpy(array) for name, array in model.parameters.items()}, about=about)


def load_segnet(path: Path | str, *, backend: Backend | None = None) -> SegNet:
    """Read a network.

    Raises:
        CheckpointError: the file is missing, damaged or of another kind.
        BackendError: the backend cannot be used.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: there is no such file; give the segnet file of a finished run")
    about, arrays = read_checked(path, FORMAT)
    backend = get_backend() if backend is None else backend  # what it raises says nothing of the file
    try:
        model = SegNet(
            int(about["num_classes"]),
            about["preset"],
            backend=backend,
            feature_scale=float(about["feature_scale"]),
            dropout=float(about["dropout"]),
            frozen=tuple(about["frozen"].split()),
        )
        model.assign(arrays)
    except (KeyError, ValueError, ConfigError) as error:  # ShapeError is a ValueError
        raise damaged(path, error) from error
    if missing := model.parameters.keys() - arrays.keys():
        raise damaged(path, f"{', '.join(sorted(missing))} is missing")
    return model
