"""SegNet in PyTorch on a device, for `gpu.py`: the same layers, step and training, by cuDNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from peers import torch_layers

from tinysegrank.backend import get_backend, to_numpy
from tinysegrank.errors import BackendError
from tinysegrank.segnet import FeatureStore, SegNet
from tinysegrank.segnet.training import TrainingOptions

OPTIONS = TrainingOptions()
MEGABYTE = 2**20


class Way(NamedTuple):
    """To run SegNet: forward pass, training step, and the change of conv8 by the first step, without dropout."""

    name: str
    forward: Callable[[], Any]
    step: Callable[[], object]
    change: Callable[[], np.ndarray]
    wait: Callable[[], None]
    megabytes: Callable[[], float]


def data(preset: str, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, targets (N, K, 13, 13) and weights (N, 13, 13)."""
    model, rng = SegNet(21, preset, backend=get_backend("numpy")), np.random.default_rng(0)
    size = model.preset.preprocessing.size
    x = rng.standard_normal((images, 3, size, size), dtype=np.float32)
    target = rng.dirichlet(np.full(21, 0.1), (images, 13, 13)).astype(np.float32).transpose(0, 3, 1, 2)
    return x, np.ascontiguousarray(target), rng.random((images, 13, 13), dtype=np.float32)


def torch_step(head: Any, sgd: Any, features: Any, target: Any, weight: Any) -> Any:
    """Take one step of PyTorch's training; return the loss."""
    import torch

    q = torch.log_softmax(head(features), dim=1)
    value = -((target * q).sum(dim=1) * weight).sum() / weight.sum()
    sgd.zero_grad(set_to_none=True)
    value.backward()
    torch.nn.utils.clip_grad_norm_(head.parameters(), OPTIONS.max_norm)
    sgd.step()
    return value.detach()


def torch_training(preset: str, store: FeatureStore, images: int, device: str, channels_last: bool, steps: int) -> None:
    """Train on a store's rows, which are on the device throughout, features in float16."""
    import torch

    model = SegNet(21, preset, backend=get_backend("numpy"))
    names = list(model.network.layers)
    head = torch_layers(model, names[names.index("scale5") + 1 :], dropout=True).to(device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    head = head.to(memory_format=layout)
    sgd = torch.optim.SGD(head.parameters(), OPTIONS.rate, OPTIONS.momentum, weight_decay=OPTIONS.decay)
    features, target, weight = (
        torch.tensor(store.gather(kind), device=device) for kind in ("features", "targets", "weights")
    )
    features, target = features.to(memory_format=layout), target.permute(0, 3, 1, 2)  # (R, K, 13, 13)
    rng, lines = np.random.default_rng(0), []
    for step in range(steps):
        rows = torch.tensor(rng.permutation(store.images)[:images], device=device)
        lines.append(torch_step(head, sgd, features[rows].float(), target[rows], weight[rows]))
        if step % 20 == 19 or step == steps - 1:  # as often as `train` writes its log
            float(torch.stack(lines).mean())
            lines.clear()


def pytorch(
    preset: str, images: int, device: str, *, channels_last: bool = False
) -> tuple[Way, list[tuple[str, Any]], Any]:
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BackendError(f"PyTorch {torch.__version__} finds no CUDA device; install one built for CUDA, on a GPU")
    model = SegNet(21, preset, backend=get_backend("numpy"))
    x, target, weight = (torch.tensor(array, device=device) for array in data(preset, images))
    names = list(model.network.layers)
    cut = names.index("scale5")
    trunk, head = (torch_layers(model, part).to(device) for part in (names[:cut], names[cut + 1 :]))
    if channels_last:
        x, trunk, head = (thing.to(memory_format=torch.channels_last) for thing in (x, trunk, head))
    sgd = torch.optim.SGD(head.parameters(), OPTIONS.rate, OPTIONS.momentum, weight_decay=OPTIONS.decay)

    def forward() -> Any:
        with torch.inference_mode():
            return head(trunk(x))

    def step() -> object:
        with torch.no_grad():
            features = trunk(x)
        return torch_step(head, sgd, features, target, weight)

    def change() -> np.ndarray:
        before = head[-1].weight.detach().clone()
        step()
        return to_numpy(head[-1].weight - before)

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    def megabytes() -> float:
        return torch.cuda.max_memory_reserved(device) / MEGABYTE if device.startswith("cuda") else 0.0

    kept = [name for name in names if not name.startswith(("scale", "dropout"))]
    layers = list(zip(kept, [*trunk, *head], strict=True))
    name = f"torch {torch.__version__} on {device}{', channels last' if channels_last else ''}"
    way = Way(name, forward, step, change, wait, megabytes)
    return way, layers, x
