"""SegNet's forward pass against OpenVINO, torch and ONNX Runtime: images to scores, float32, on two threads.

    python tests/benchmarks/forward.py                      batches of 1, 16 and 64 images
    python tests/benchmarks/forward.py --batches 1 --turns 101 --only torch

Each contender has a process of its own and takes turns with the others, in another order each time, and its scores are
compared with ours. Prints the median and the least over all turns, both as multiples of ours, and how much memory the
process took at most, with the library it runs on. OpenVINO and ONNX Runtime read an ONNX file with the operators they
have themselves, and prepare for the batch; torch.compile (`--compile`) does so too. Run it on a quiet machine: what is
beside it takes a share of one contender's time and not of another's.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from peers import Task, batch_of_images, compare, onnx_model, segnet, torch_layers
from rich.console import Console
from threadpoolctl import threadpool_limits

from tinysegrank.nn import Prepared

Prepare = tuple[Callable[[], object], Callable[[], dict[str, np.ndarray]]]


def _runs(function: Callable[[], Any]) -> Prepare:
    return function, lambda: {"scores": np.array(function())}


def tinysegrank(images: int, threads: int) -> Prepare:
    threadpool_limits(threads)
    network, x = Prepared(segnet().network), batch_of_images(images)
    return _runs(lambda: network(x))


def readable(images: int, threads: int) -> Prepare:
    os.environ["TINYSEGRANK_ACCELERATE"] = "0"
    return tinysegrank(images, threads)


def _torch(images: int, threads: int, *, channels_last: bool = False, compiled: bool = False) -> Prepare:
    import torch

    torch.set_num_threads(threads)
    model = segnet()
    network, x = torch_layers(model, list(model.network.layers)).eval(), torch.tensor(batch_of_images(images))
    if channels_last:
        network, x = network.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    network = torch.compile(network) if compiled else network

    def run() -> np.ndarray:
        with torch.inference_mode():
            return network(x).numpy()

    return _runs(run)


def torch_eager(images: int, threads: int) -> Prepare:
    return _torch(images, threads)


def torch_channels_last(images: int, threads: int) -> Prepare:
    return _torch(images, threads, channels_last=True)


def torch_compile(images: int, threads: int) -> Prepare:
    return _torch(images, threads, compiled=True)


def openvino(images: int, threads: int) -> Prepare:
    from openvino import Core

    core, x = Core(), batch_of_images(images)
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(core.read_model(onnx_model(segnet(), images)), "CPU", options).create_infer_request()
    return _runs(lambda: request.infer([x])[0])


def onnxruntime(images: int, threads: int) -> Prepare:
    from onnxruntime import InferenceSession, SessionOptions

    options, x = SessionOptions(), batch_of_images(images)
    options.intra_op_num_threads = threads
    session = InferenceSession(onnx_model(segnet(), images), options, providers=["CPUExecutionProvider"])
    return _runs(lambda: session.run(None, {"images": x})[0])


def contenders(*, with_readable: bool, with_compile: bool) -> list[Task]:
    """Those that are installed, ours first."""
    found = [Task("tinysegrank", tinysegrank)]
    if with_readable:
        found.append(Task("tinysegrank, readable", readable))
    if find_spec("openvino") and find_spec("onnx"):
        found.append(Task("OpenVINO", openvino))
    if find_spec("torch"):
        found += [Task("torch", torch_eager), Task("torch, channels last", torch_channels_last)]
        if with_compile:
            found.append(Task("torch.compile", torch_compile))
    if find_spec("onnxruntime") and find_spec("onnx"):
        found.append(Task("ONNX Runtime", onnxruntime))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--turns", type=int, default=0, help="default: 61 for one image, fewer for more")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=[], help="peers to compare with; all by default")
    parser.add_argument("--readable", action="store_true", help="our readable version too")
    parser.add_argument("--compile", action="store_true", help="torch.compile too")
    asked = parser.parse_args()
    tasks = contenders(with_readable=asked.readable, with_compile=asked.compile)
    tasks = [task for task in tasks if task is tasks[0] or not asked.only or task.name in asked.only]
    console = Console(width=110)
    for images in asked.batches:
        turns = asked.turns or max(11, 61 // images)
        title = f"SegNet's forward pass, {images} images at a time, {asked.threads} threads, {turns} turns"
        console.print(compare(title, tasks, images, turns=turns, threads=asked.threads).to_rich())


if __name__ == "__main__":
    main()
