"""A run's network as one file for other programs: ONNX, or safetensors with everything to rebuild it in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinysegrank.backend import get_backend
from tinysegrank.errors import ConfigError
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import training
from tinysegrank.experiment.stages.coarse import NETWORKS
from tinysegrank.exporting.onnx_graph import COARSE, IMAGE, onnx_model
from tinysegrank.files import atomic_write, read_about, read_arrays, write_arrays
from tinysegrank.outputs import check_results
from tinysegrank.segnet import SegNet, load_segnet


def export_onnx(run: Run, file: Path, *, loss: str = "", replace: bool = False) -> dict[str, str]:
    """Write a network of a run as an ONNX model, and return in words what it takes and gives.

    image  | (N, 3, S, S)   | float32 | R, G, B in 0..255, the whole image resized to S x S (227 for AlexNet)
    coarse | (N, K, 13, 13) | float32 | class distributions

    The image is resized by bilinear interpolation with antialiasing, as Pillow's BILINEAR does. The order of the
    channels that the network was trained with, the subtraction of the mean, and whatever else its images need, is in
    the model. Its metadata has these words and the names of the classes. onnxruntime's result equals that of the
    readable functions to 1e-5. The coarse maps of a run and of `tinysegrank.load` differ from it by more, as features
    are rounded to float16 there and the maps may be averaged over several views of the image.

    Args:
        run: a run with finished trainings.
        file: the file to write.
        loss: the training whose network is taken, such as "uoi"; by default the one that the ranker uses.
        replace: replace an existing file.

    Raises:
        ConfigError: the package onnx is not installed, or no training has that loss.
        CheckpointError: the trainings are not finished.
        OutputError: the file cannot be written or already exists.
    """
    path = _network(run, file, loss, replace)
    model = load_segnet(path, backend=get_backend("numpy"))
    side, number = model.preset.preprocessing.size, model.num_classes
    words = {
        "input": f'"{IMAGE}", float32 (N, 3, {side}, {side}): R, G, B in 0..255 of the whole photograph, resized to '
        f"{side} x {side} by bilinear interpolation with antialiasing (Pillow's BILINEAR)",
        "output": f'"{COARSE}", float32 (N, {number}, 13, 13): the share of each class in each cell of a 13 x 13 grid',
    }
    content = onnx_model(model, {name: json.dumps(value) for name, value in {**words, **_about(run, model)}.items()})
    with atomic_write(file) as stream:
        stream.write(content)
    return words


def export_safetensors(run: Run, file: Path, *, loss: str = "", replace: bool = False) -> None:
    """Write a network of a run as safetensors, which `load_segnet` reads too.

    The header's metadata has one entry, "about": JSON with the preset, the shapes of its convolutions, the
    preprocessing, the factor on conv5's features, and the names of the classes. For arguments and errors see
    `export_onnx`; onnx is not needed.
    """
    path = _network(run, file, loss, replace)
    about = {**read_about(path), **_about(run, load_segnet(path, backend=get_backend("numpy")))}
    write_arrays(file, read_arrays(path), about=about)


def _network(run: Run, file: Path, loss: str, replace: bool) -> Path:
    """Return the network's file, once it is clear that the other can be written."""
    loss = loss.replace("_", "+") or run.settings.ranking.loss  # the settings write uoi_ce
    if loss not in NETWORKS:
        raise ConfigError(f'loss="{loss}": choose one of {", ".join(NETWORKS)}')
    path = training.network_path(run, training.Training(-1, loss))
    check_results([(path, file)], option="--out", replace=replace)
    run.require([training.STAGE.name], "an export of the network")
    return path


def _about(run: Run, model: SegNet) -> Mapping[str, Any]:
    return {"classes": list(run.settings.classes.names), "architecture": asdict(model.preset)}
