"""SegNet on a GPU: the forward pass and a training step by CuPy against PyTorch's cuDNN, and where the time goes.

    python tests/benchmarks/gpu.py                                  float32 as it is on both sides
    python tests/benchmarks/gpu.py --tf32 --batches 64 --turns 51   both sides may round products to TF32

Needs CuPy, PyTorch with CUDA, and a device. All ways do the same, in turns, on arrays that are on the device already,
and wait for the device at the end of each turn. cuDNN chooses its algorithms by trying them, and PyTorch runs with
channels first and with channels last. Scores are compared first, and what one step of training without dropout changes.
The table's last rows are a step of a whole training with dropout on a store on disk, by `segnet.train` as the program
calls it and by PyTorch with the store's rows on its device. The second table has each layer alone, with a wait after
it, which costs a small layer more than it takes. A batch that does not fit the device's memory is left out.
`--backend numpy --torch cpu` runs the same on a CPU.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from gpu_peer import MEGABYTE, OPTIONS, Way, data, pytorch, torch_training
from rich.console import Console

from tinysegrank.backend import Backend, get_backend, to_numpy
from tinysegrank.errors import BackendError, out_of_memory
from tinysegrank.losses import soft_cross_entropy
from tinysegrank.reporting import Column, Table
from tinysegrank.segnet import PRESETS, FeatureStore, SegNet, train


def tinysegrank(preset: str, images: int, backend: Backend) -> tuple[Way, SegNet, Any]:
    model = SegNet(21, preset, backend=backend, dropout=0.0)
    x, target, weight = (backend.asarray(array) for array in data(preset, images))
    sgd = OPTIONS.optimiser()

    def step() -> object:
        value, gradient = soft_cross_entropy(model.forward(x, rng=np.random.default_rng(0)), target, weight)
        model.network.assign(sgd.step(model.trainable, model.backward(gradient), rate=OPTIONS.rate))
        return value

    def change() -> np.ndarray:
        before = to_numpy(model.parameters["conv8.weight"]).copy()
        step()
        return to_numpy(model.parameters["conv8.weight"]) - before

    def megabytes() -> float:
        return float(backend.xp.get_default_memory_pool().total_bytes()) / MEGABYTE if backend.name == "cupy" else 0.0

    name = f"tinysegrank, {backend.describe()}"
    return Way(name, lambda: model.network(x), step, change, backend.synchronize, megabytes), model, x


def toy_store(folder: str, preset: str, images: int) -> FeatureStore:
    rng, channels = np.random.default_rng(0), PRESETS[preset].convolutions[-1].filters
    store = FeatureStore(folder, images=images, mirrors=False)
    for chunk in range(store.chunks):
        rows = len(store.members(chunk))
        features = np.abs(rng.standard_normal((rows, channels, 13, 13))).astype(np.float16)
        target = rng.dirichlet(np.full(21, 0.1), (rows, 13, 13)).astype(np.float32)
        weight = rng.random((rows, 13, 13), dtype=np.float32)
        store.write(chunk, {"features": features, "targets": target, "weights": weight})
    return store


def train_seconds(preset: str, images: int, backend: Backend, device: str, turns: int) -> list[float]:
    """Return the time of a step of `train`, and of PyTorch's training with channels first and last.

    Each trains with dropout on a store of twice as many images as a batch has, reading the store included.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = toy_store(folder, preset, 2 * images)

        def own(steps: int) -> None:
            options = replace(OPTIONS, steps=steps, batch=images)
            train(SegNet(21, preset, backend=backend), store, np.arange(2 * images), options, seed=0)

        found = []
        for run in (own, *(partial(torch_training, preset, store, images, device, last) for last in (False, True))):
            for steps in (3, turns):  # the first compiles the kernels
                started = time.perf_counter()
                run(steps)
            found.append((time.perf_counter() - started) / turns)
    return found


def free(backend: Backend) -> None:
    """Give the memory that both libraries keep back to the device."""
    import torch

    gc.collect()
    if backend.name == "cupy":
        backend.xp.get_default_memory_pool().free_all_blocks()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def seconds(function: Callable[[], object], wait: Callable[[], None], turns: int) -> list[float]:
    """Time until the device is done, after one turn that does not count."""
    function()
    wait()
    times = []
    for _ in range(turns):
        started = time.perf_counter()
        function()
        wait()
        times.append(time.perf_counter() - started)
    return times


def in_turns(ways: list[tuple[Callable[[], object], Callable[[], None]]], turns: int) -> list[float]:
    """Return the median time of each, taken in turns, so that a change of the card's clock meets all."""
    times = [[seconds(*way, 1)[0] for way in ways] for _ in range(turns)]
    return [float(median) for median in np.median(times, axis=0)]


def check(own: np.ndarray, other: np.ndarray, what: str, tolerance: float) -> None:
    """Raise where numbers differ by more than a part of the largest."""
    error = np.abs(own - other).max() / np.abs(own).max()
    if not error <= tolerance:
        raise AssertionError(f"{what} differ by {error:.1e} of the largest")


def compare(
    preset: str, images: int, *, backend: str, device: str, turns: int, tolerance: float = 1e-3
) -> tuple[Table, Table]:
    """Both ways against each other, and the layers alone.

    Raises:
        BackendError: CuPy or PyTorch, or a device for them, is missing.
    """
    with get_backend(backend).active():
        return _compare(preset, images, get_backend(backend), device, turns, tolerance)


def _compare(
    preset: str, images: int, backend: Backend, device: str, turns: int, tolerance: float
) -> tuple[Table, Table]:
    own, model, x = tinysegrank(preset, images, backend)
    other, layers, y = pytorch(preset, images, device)
    last, _, _ = pytorch(preset, images, device, channels_last=True)
    for peer in (other, last):
        check(to_numpy(own.forward()), to_numpy(peer.forward()), "scores", tolerance)
    changes = [way.change() for way in (own, other, last)]
    for change in changes[1:]:
        check(changes[0], change, "steps", 10 * tolerance)
    rows: list[tuple[str | float | None, ...]] = []
    for what in ("forward", "step"):
        medians = in_turns([(getattr(way, what), way.wait) for way in (own, other, last)], turns)
        for way, median in zip((own, other, last), medians, strict=True):
            name = {"forward": "forward pass", "step": "training step, conv6 to conv8"}[what]
            rows.append((name, way.name, 1e3 * median, median / medians[0], way.megabytes() or None))
    times = train_seconds(preset, images, backend, device, turns)
    for way, median in zip((own, other, last), times, strict=True):
        rows.append(("a step of a whole training", way.name, 1e3 * median, median / times[0], None))
    title = f"SegNet ({preset}) on {images} images, {turns} turns"
    columns = (
        Column("what"), Column("by"), Column("ms, median", ".3f"), Column("ratio", ".2f"), Column("MB held", ".0f"),
    )  # fmt: skip
    return Table(title, columns, tuple(rows)), layer_table(model, x, own, layers, y, other, turns)


def layer_table(
    model: SegNet, x: Any, own: Way, layers: list[tuple[str, Any]], y: Any, other: Way, turns: int
) -> Table:
    """Each layer's forward and backward pass by us, and its forward pass by torch."""
    import torch

    rows: list[tuple[str | float | None, ...]] = []
    theirs = dict(layers)
    for name, layer in model.network.layers.items():
        made, context = layer.forward(x)
        ahead = np.median(seconds(lambda layer=layer, x=x: layer.forward(x), own.wait, turns))
        back = np.median(seconds(lambda layer=layer, m=made, c=context: layer.backward(m, c), own.wait, turns))
        peer = None
        if name in theirs:
            with torch.inference_mode():
                peer = 1e3 * np.median(seconds(lambda f=theirs[name], y=y: f(y), other.wait, turns))
                y = theirs[name](y)
        rows.append((name, 1e3 * ahead, 1e3 * back, peer))
        x = made
    total = [float(sum(row[column] or 0 for row in rows)) for column in (1, 2, 3)]
    columns = (Column("layer"), *(Column(f"{name}, ms", ".3f") for name in ("forward", "backward", "torch's forward")))
    return Table("Each layer alone", columns, (*rows, ("all", *total)))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--turns", type=int, default=31)
    parser.add_argument("--preset", default="alexnet")
    parser.add_argument("--backend", default="cupy")
    parser.add_argument("--torch", default="cuda", help="torch's device")
    parser.add_argument("--tf32", action="store_true", help="let cuBLAS and cuDNN round products to TF32")
    asked = parser.parse_args(arguments)
    console = Console(width=120)
    os.environ["CUPY_TF32"] = str(int(asked.tf32))  # read at the first product
    try:
        get_backend(asked.backend)  # before torch, which is slower to load
        import torch

        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = asked.tf32
        torch.backends.cudnn.benchmark = True
        for images in asked.batches:
            try:
                tables = compare(
                    asked.preset, images, backend=asked.backend, device=asked.torch, turns=asked.turns,
                    tolerance=1e-2 if asked.tf32 else 1e-3,
                )  # fmt: skip
            except Exception as error:
                if not out_of_memory(error):
                    raise
                console.print(f"{images} images do not fit the device's memory: {error}")
            else:
                for table in tables:
                    console.print(table.to_rich())
            free(get_backend(asked.backend))
    except (BackendError, ImportError) as error:
        sys.exit(f"gpu.py: {error}; it needs CuPy (`pip install '.[cuda12]'`), PyTorch and a CUDA device")


if __name__ == "__main__":
    main()
