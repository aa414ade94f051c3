"""Save and load a SegNet as one safetensors file: its parameters, and in the header the arguments that rebuild it."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

from tinysegrank.backend import Backend, get_backend, to_numpy
from tinysegrank.errors import CheckpointError, brief
from tinysegrank.files import reading, write_arrays
from tinysegrank.fitted import read_checked
from tinysegrank.nn.layer import Layer
from tinysegrank.segnet.network import SegNet
from tinysegrank.segnet.presets import PRESETS
from tinysegrank.segnet.weight_files import fault_in

FORMAT = "tinysegrank.segnet.1"


def save_segnet(path: Path | str, model: SegNet) -> None:
    """Write a network to a file, atomically: its parameters, and the arguments with which `SegNet` rebuilds it.

    Raises:
        CheckpointError: a layer is not the one that the preset builds and would be lost, a parameter is NaN or
            infinite, or a layer's weights are all 0.
    """
    _check_layers(path, model)
    parameters = {name: to_numpy(array) for name, array in model.parameters.items()}
    if fault := fault_in(parameters):
        raise CheckpointError(f"{path}: not written, as the network's {fault}; train it again at a lower rate")
    about = {
        "format": FORMAT,
        "preset": model.preset_name,
        "num_classes": str(model.num_classes),
        "feature_scale": repr(model.feature_scale),
        "dropout": repr(model.dropout),
        "frozen": " ".join(sorted(model.network.frozen)),
    }
    write_arrays(path, parameters, about=about)


def _check_layers(path: Path | str, model: SegNet) -> None:
    """Raise a CheckpointError unless the model's layers are those that `load_segnet` would build."""
    built = SegNet(
        model.num_classes,
        model.preset_name,
        backend=get_backend("numpy"),
        feature_scale=model.feature_scale,
        dropout=model.dropout,
    )
    for part in ("network", "trunk", "head"):
        held, expected = getattr(model, part).layers, getattr(built, part).layers
        for (name, layer), (wanted, original) in zip_longest(held.items(), expected.items(), fillvalue=("", None)):
            shared = name not in model.network.layers or model.network.layers[name] is layer
            if name != wanted or _described(layer) != _described(original) or not shared:
                raise CheckpointError(
                    f"{path}: not written, as layer {name or wanted} of model.{part} is not the one that the preset "
                    f"{model.preset_name} builds, and the file keeps parameters only, so the layer would be lost; put "
                    "the preset's layer back, or let a preset of your own build the layer (Preset.change_head)"
                )


def _described(layer: Layer | None) -> tuple[object, ...]:
    """Return a layer's type, options, inner layers and parameter shapes; () for None."""
    if layer is None:
        return ()
    options = {
        name: _described(value) if isinstance(value, Layer) else value
        for name, value in vars(layer).items()
        if name != "parameters"
    }
    return type(layer), options, {name: tuple(array.shape) for name, array in layer.parameters.items()}


def load_segnet(path: Path | str, *, backend: Backend | None = None) -> SegNet:
    """Read a network from a file that `save_segnet` wrote; `backend` is that of `SegNet`.

    Raises:
        CheckpointError: the file is missing, damaged or of another kind, its preset is not in `PRESETS`, a parameter is
            NaN or infinite, or a layer's weights are all 0.
        BackendError: the backend cannot be used.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: there is no such file; give the segnet file of a finished run")
    about, arrays = read_checked(path, FORMAT)
    preset = about.get("preset")
    if preset is not None and preset not in PRESETS:
        raise CheckpointError(
            f'{path}: needs the preset "{brief(preset, 40)}"; put it into segnet.PRESETS first, '
            "or delete a damaged file"
        )
    backend = get_backend() if backend is None else backend  # outside the block: its errors are not the file's
    with reading(path):
        model = SegNet(
            int(about["num_classes"]),
            about["preset"],
            backend=backend,
            feature_scale=float(about["feature_scale"]),
            dropout=float(about["dropout"]),
            frozen=tuple(about["frozen"].split()),
        )
        model.assign(arrays)
        if missing := model.parameters.keys() - arrays.keys():
            raise ValueError(f"{', '.join(sorted(missing))} is missing")
        if fault := fault_in(arrays):
            raise ValueError(fault)
    return model
