"""A step of SegNet's training against torch: forward, cross-entropy, backward, clipping and SGD, on two threads.

    python tests/benchmarks/training.py                     all three trainings
    python tests/benchmarks/training.py --trainings features --turns 101

"features" trains conv6 to conv8 on the features of conv5, which are computed once (64 at a time); "images" computes
them in every step (64 images); "all" trains every layer (16 images). Each contender has a process of its own and takes
turns with the others, in another order each time; what one step without dropout changes is compared with ours. Prints
the median and the least over all turns, both as multiples of ours, and how much memory the process took at most, with
the library it runs on. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import count

import numpy as np
from peers import Task, batch_of_images, compare, segnet, torch_layers
from rich.console import Console
from threadpoolctl import threadpool_limits

from tinysegrank.losses import soft_cross_entropy
from tinysegrank.segnet import SegNet
from tinysegrank.segnet.network import TRUNK
from tinysegrank.segnet.training import TrainingOptions

Prepare = tuple[Callable[[], object], Callable[[], dict[str, np.ndarray]]]

TRAININGS = {"features": 64, "images": 64, "all": 16}
OPTIONS = TrainingOptions()
COMPARED = {"features": ("conv6", "conv7", "conv8"), "images": ("conv6", "conv7", "conv8"), "all": ("conv1", "conv8")}


def batch(kind: str, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input, target (N, K, 13, 13) and weight (N, 13, 13) of a step."""
    rng = np.random.default_rng(2)
    x = batch_of_images(images)
    if kind == "features":
        x = np.maximum(rng.standard_normal((images, 256, 13, 13), dtype=np.float32), 0)
    target = rng.dirichlet(np.full(21, 0.1), (images, 13, 13)).astype(np.float32).transpose(0, 3, 1, 2)
    return x, np.ascontiguousarray(target), rng.random((images, 13, 13), dtype=np.float32)


def model_of(kind: str, x: np.ndarray, *, dropout: bool) -> SegNet:
    """The network of a training; conv5's features are scaled to 1."""
    model = segnet(frozen=() if kind == "all" else TRUNK, dropout=None if dropout else 0.0)
    if kind != "features":
        model.feature_scale = float(1 / np.sqrt(np.mean(np.square(model.trunk(x[:2])))))
    return model


def tinysegrank(kind: str, images: int, threads: int) -> Prepare:
    threadpool_limits(threads)
    x, target, weight = batch(kind, images)

    def trainer(*, dropout: bool) -> tuple[SegNet, Callable[[], object]]:
        model, sgd, steps = model_of(kind, x, dropout=dropout), OPTIONS.optimiser(), count()
        forward = model.forward_features if kind == "features" else model.forward

        def step() -> object:
            value, gradient = soft_cross_entropy(forward(x, rng=np.random.default_rng(next(steps))), target, weight)
            model.network.assign(sgd.step(model.trainable, model.backward(gradient), rate=OPTIONS.rate))
            return value

        return model, step

    def changes() -> dict[str, np.ndarray]:
        model, step = trainer(dropout=False)
        before = model.parameters
        step()
        return {f"{n}.weight": model.parameters[f"{n}.weight"] - before[f"{n}.weight"] for n in COMPARED[kind]}

    return trainer(dropout=True)[1], changes


def torch(kind: str, images: int, threads: int, *, channels_last: bool = False, compiled: bool = False) -> Prepare:
    import torch

    torch.set_num_threads(threads)
    x, target, weight = (torch.tensor(array) for array in batch(kind, images))
    shape = {"memory_format": torch.channels_last} if channels_last else {}
    x = x.to(**shape)

    def trainer(*, dropout: bool):
        model = model_of(kind, x.numpy(), dropout=dropout)
        names = list(model.network.layers)
        cut = names.index("scale5")
        trunk, head = torch_layers(model, names[:cut]), torch_layers(model, names[cut + 1 :], dropout=dropout)
        trunk, head = trunk.to(**shape), head.to(**shape)
        parameters = [*head.parameters(), *(trunk.parameters() if kind == "all" else ())]
        sgd = torch.optim.SGD(parameters, OPTIONS.rate, OPTIONS.momentum, weight_decay=OPTIONS.decay)

        def loss() -> torch.Tensor:
            features = x
            if kind != "features":
                with torch.set_grad_enabled(kind == "all"):
                    features = trunk(x)
            q = torch.log_softmax(head(features * model.feature_scale), dim=1)
            return -((target * q).sum(dim=1) * weight).sum() / weight.sum()

        loss_of = torch.compile(loss) if compiled else loss

        def step() -> object:
            value = loss_of()
            sgd.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(parameters, OPTIONS.max_norm)
            sgd.step()
            return value.detach()

        convolutions = [layer for layer in (*trunk, *head) if isinstance(layer, torch.nn.Conv2d)]
        return {f"conv{i}": layer for i, layer in enumerate(convolutions, start=1)}, step

    def changes() -> dict[str, np.ndarray]:
        layers, step = trainer(dropout=False)
        before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
        step()
        return {f"{n}.weight": (layers[n].weight.detach() - before[n]).numpy() for n in COMPARED[kind]}

    return trainer(dropout=True)[1], changes


def contenders(kind: str, *, with_compile: bool) -> list[Task]:
    """Those that are installed, ours first."""
    found = [Task("tinysegrank", partial(tinysegrank, kind))]
    if find_spec("torch"):
        found.append(Task("torch", partial(torch, kind), tolerance=1e-2))  # a ReLU or a maximum may fall otherwise
        found.append(Task("torch, channels last", partial(torch, kind, channels_last=True), tolerance=1e-2))
        if with_compile:
            found.append(Task("torch.compile", partial(torch, kind, compiled=True), tolerance=1e-2))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes a minute")
    asked = parser.parse_args()
    console = Console(width=110)
    for kind in asked.trainings:
        images = TRAININGS[kind]
        title = f'A training step, "{kind}", {images} images, {asked.threads} threads, {asked.turns} turns'
        tasks = contenders(kind, with_compile=not asked.no_compile)
        console.print(compare(title, tasks, images, turns=asked.turns, threads=asked.threads).to_rich())


if __name__ == "__main__":
    main()
