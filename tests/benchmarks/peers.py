"""What the benchmarks of SegNet share: a process for each contender, turns between them, and SegNet for others."""

from __future__ import annotations

import gc
import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank.nn.layer import Conv2d, Dropout, LocalResponseNorm, MaxPool2d, ReLU
from tinysegrank.parallel import keep_freed_memory
from tinysegrank.reporting import Column, Table
from tinysegrank.segnet import SegNet

PAUSE = 0.02  # seconds between turns, until no thread of the last contender waits in a loop any more
MEGABYTE = 2**20


class Task(NamedTuple):
    """Something to do once a turn: how to prepare it for so many images, in the process where it is done.

    `prepare(images, threads)` returns a function that does it and one that returns what is compared with the first
    contender's; called again, the first goes on from where it is.
    """

    name: str
    prepare: Callable[[int, int], tuple[Callable[[], object], Callable[[], dict[str, np.ndarray]]]]
    tolerance: float = 1e-3  # of the largest number


class Measured(NamedTuple):
    seconds: list[float]
    peak: float  # MB of the process, its libraries included
    results: dict[str, np.ndarray]


def measure(tasks: list[Task], images: int, *, turns: int, threads: int = 2) -> dict[str, Measured]:
    """Start a process for each task and let them take turns, in another order each time."""
    context = multiprocessing.get_context("spawn")
    ends, processes = [], []
    for task in tasks:
        mine, other = context.Pipe()
        process = context.Process(target=_serve, args=(task, images, threads, other), daemon=True)
        process.start()
        mine.recv()  # it is ready: one after the other, as some compile
        ends.append(mine)
        processes.append(process)
    seconds: list[list[float]] = [[] for _ in tasks]
    order = np.random.default_rng(0)
    for _ in range(turns):
        for number in order.permutation(len(tasks)):
            time.sleep(PAUSE)
            ends[number].send("turn")
            seconds[number].append(ends[number].recv())
    measured = {}
    for task, end, process, times in zip(tasks, ends, processes, seconds, strict=True):
        end.send("end")
        measured[task.name] = Measured(times, *end.recv())
        process.join()
    return measured


def conditions(threads: int) -> str:
    """Say on what a benchmark runs: processor, the kernel that BLAS chose, threads, and the load of the machine now."""
    import scipy.linalg.cython_blas  # noqa: F401 - loads the library
    from threadpoolctl import threadpool_info

    kernels = {str(each.get("architecture")) for each in threadpool_info() if each["user_api"] == "blas"}
    return f"{_processor()}; BLAS kernel {', '.join(sorted(kernels))}; {threads} threads; {load()}"


def load() -> str:
    """Say how many programs ran at a time, over the last minute."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return (
        f"{found.get('model name', platform.machine())}, family {found.get('cpu family')}, model {found.get('model')}"
    )


def compare(title: str, tasks: list[Task], images: int, *, turns: int, threads: int = 2) -> Table:
    """Measure, check that all contenders have the first one's results, and make the table."""
    print(f"Before: {conditions(threads)}", flush=True)
    measured = measure(tasks, images, turns=turns, threads=threads)
    print(f"After: {load()}", flush=True)
    own = measured[tasks[0].name]
    rows: list[tuple[str | float | None, ...]] = []
    for task in tasks:
        found = measured[task.name]
        for name, expected in own.results.items():
            error = np.abs(found.results[name] - expected).max() / np.abs(expected).max()
            if not error <= task.tolerance:
                raise AssertionError(f"{task.name}: {name} is off by {error:.1e} of the largest number")
        median, least = np.median(found.seconds), min(found.seconds)
        ratio, best = median / np.median(own.seconds), least / min(own.seconds)
        rows.append((task.name, median, least, ratio, best, found.peak))
    columns = (
        Column("contender"), Column("s, median", ".4f"), Column("s, least", ".4f"), Column("ratio of medians", ".2f"),
        Column("ratio of least", ".2f"), Column("peak MB", ".0f"),
    )  # fmt: skip
    return Table(title, columns, tuple(rows))


def _serve(task: Task, images: int, threads: int, end: Connection) -> None:
    """In the process of a contender: prepare, take turns, and tell the peak of memory and the results."""
    os.environ |= {"OMP_NUM_THREADS": str(threads)}
    keep_freed_memory()  # every contender: all take their arrays from the same C library
    once, results = task.prepare(images, threads)
    for _ in range(2):  # compiles and loads
        once()
    gc.collect()
    end.send("ready")
    while end.recv() == "turn":
        started = time.perf_counter()
        once()
        end.send(time.perf_counter() - started)
    end.send((_peak(), results()))


def _peak() -> float:
    """MB that the process had in memory at most (Linux only)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) * 1024 / MEGABYTE


# SegNet in other libraries -------------------------------------------------------------------------------------------


def segnet(**options: Any) -> SegNet:
    """SegNet with the trunk of AlexNet; the same numbers in every process."""
    model = SegNet(21, "alexnet", rng=np.random.default_rng(0), **options)
    scale = np.sqrt(np.float32(10))  # the last layer starts near 0, where no error would be seen
    model.assign({"conv8.weight": model.parameters["conv8.weight"] * scale})
    return model


def torch_layers(model: SegNet, names: list[str], *, dropout: bool = False) -> Any:
    """Some layers of SegNet as a torch module, with the same parameters."""
    import torch

    layers = []
    for name in names:
        layer = model.network.layers[name]
        if isinstance(layer, Conv2d):
            weight, bias = (torch.tensor(layer.parameters[key]) for key in ("weight", "bias"))
            F, C, size, _ = weight.shape
            made = torch.nn.Conv2d(
                C * layer.groups, F, size, stride=layer.stride, padding=layer.padding, groups=layer.groups
            )
            made.load_state_dict({"weight": weight, "bias": bias})
            layers.append(made)
        elif isinstance(layer, MaxPool2d):
            layers.append(torch.nn.MaxPool2d(3, 2, ceil_mode=True))
        elif isinstance(layer, LocalResponseNorm):
            layers.append(torch.nn.LocalResponseNorm(**layer.options))
        elif isinstance(layer, ReLU):
            layers.append(torch.nn.ReLU())
        elif isinstance(layer, Dropout) and dropout:
            layers.append(torch.nn.Dropout(layer.options["p"]))
    return torch.nn.Sequential(*layers)


def onnx_model(model: SegNet, images: int) -> bytes:
    """SegNet, without dropout, as an ONNX file."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, arrays, last = [], [], "images"
    for name, layer in model.network.layers.items():
        inputs, options, kind = [last], {}, ""
        if isinstance(layer, Conv2d):
            kind = "Conv"
            options = {"strides": [layer.stride] * 2, "pads": [layer.padding] * 4, "group": layer.groups}
            for key, array in layer.parameters.items():
                arrays.append(numpy_helper.from_array(np.asarray(array), f"{name}.{key}"))
                inputs.append(f"{name}.{key}")
        elif isinstance(layer, MaxPool2d):
            kind, options = "MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
        elif isinstance(layer, LocalResponseNorm):
            kind = "LRN"
            options = {"bias" if key == "k" else key: value for key, value in layer.options.items()}
        elif isinstance(layer, ReLU):
            kind = "Relu"
        if kind:
            nodes.append(helper.make_node(kind, inputs, [name], **options))
            last = name
    size = model.preset.preprocessing.size
    x = helper.make_tensor_value_info("images", TensorProto.FLOAT, [images, 3, size, size])
    y = helper.make_tensor_value_info(last, TensorProto.FLOAT, [images, model.num_classes, 13, 13])
    graph = helper.make_graph(nodes, "SegNet", [x], [y], arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(made)
    return made.SerializeToString()


def batch_of_images(images: int) -> np.ndarray:
    """Numbers such as Caffe's preprocessing makes, (N, 3, 227, 227)."""
    return np.random.default_rng(1).normal(0, 60, (images, 3, 227, 227)).astype(np.float32)
