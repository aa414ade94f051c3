"""Pre-train a trunk as an image classifier, for trunks that no ImageNet weights fit.

Paper: section 3.1 takes conv1 to conv5 from a network trained on ImageNet. The tiny trunk is instead trained on images
of single objects: as in AlexNet, conv5 is pooled to 6 x 6 and followed by a fully connected layer (one is enough for 20
classes), which here is a 6 x 6 convolution.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tinysegrank.backend import to_numpy
from tinysegrank.errors import ShapeError, TrainingError
from tinysegrank.files import reading
from tinysegrank.losses import soft_cross_entropy
from tinysegrank.nn.layer import MaxPool2d
from tinysegrank.nn.sequential import Sequential
from tinysegrank.nn.sgd import SGD, step_schedule
from tinysegrank.segnet.device import on_its_device
from tinysegrank.segnet.network import SegNet, convolution
from tinysegrank.segnet.presets import ConvShape
from tinysegrank.segnet.resume import restore_state, write_state
from tinysegrank.segnet.weights import fault_in

POOLED = 6  # side of the 13 x 13 map after pooling


@on_its_device
def pretrain_trunk(
    model: SegNet,
    images: np.ndarray,
    classes: np.ndarray,
    *,
    steps: int,
    rate: float = 0.01,
    batch: int = 16,
    seed: int,
    checkpoint: Path | None = None,
    checkpoint_every: int = 50,
    progress: Callable[[int, float], None] | None = None,
) -> float:
    """Train the model's trunk in place to classify images; half of each batch is mirrored.

    A training that resumes from its checkpoint gives the same result as an uninterrupted one, to the bit.

    images  | (N, H, W, 3) | uint8 | RGB
    classes | (N,)         | int   | 0..K-1
    returns | ()           | float | mean accuracy of the last tenth of the steps, on each batch before training on it

    Args:
        checkpoint: file to resume from, written every `checkpoint_every` steps.
        progress: called with the step and the loss after each step; when resuming, first with that step and NaN.

    Raises:
        TrainingError: there are no images or steps, the loss or a parameter is not finite, or weights are all 0.
        CheckpointError: the checkpoint is damaged or belongs to another training.
        ShapeError: there is not one class per image, or a class is out of range.
    """
    if not len(images) or steps < 1:
        raise TrainingError(f"{len(images)} images and {steps} steps to pre-train the trunk; give at least one of each")
    if classes.shape != (len(images),) or not 0 <= classes.min() <= classes.max() < model.num_classes:
        raise ShapeError(f"classes: give one of 0..{model.num_classes - 1} for each of the {len(images)} images")
    rng, backend = np.random.default_rng([seed, 2]), model.backend
    channels = model.preset.convolutions[-1].filters
    scores = convolution(channels, ConvShape(model.num_classes, POOLED), rng, backend)
    network = Sequential({**model.trunk.layers, "pool5": MaxPool2d(), "scores": scores})
    sgd = SGD(rate=rate, momentum=0.9, decay=5e-4, max_norm=5.0)
    learnt_from = hashlib.sha256(images.tobytes() + classes.astype(np.int64).tobytes()).hexdigest()
    training, begin, hits = repr((seed, steps, rate, batch, learnt_from)), 0, list[float]()
    if checkpoint is not None and checkpoint.is_file():
        arrays, about = restore_state(checkpoint, network, sgd, training=training, backend=backend)
        with reading(checkpoint):
            begin, hits = int(about["step"]), arrays["hits"].tolist()
            rng.bit_generator.state = json.loads(about["rng"])
        if progress is not None:
            progress(begin, float("nan"))
    for step in range(begin, steps):
        chosen = rng.choice(len(images), size=min(batch, len(images)), replace=False)
        x = np.stack([model.preset.preprocessing.apply(images[i]) for i in chosen])  # (N, 3, S, S)
        x[: len(x) // 2] = x[: len(x) // 2, :, :, ::-1]
        target = np.eye(model.num_classes, dtype=np.float32)[classes[chosen]][:, :, None, None]  # (N, K, 1, 1)
        z, context = network.forward(backend.asarray(np.ascontiguousarray(x)), rng=rng)  # (N, K, 1, 1)
        value, grad_z = soft_cross_entropy(z, backend.asarray(target))
        _, gradients = network.backward(grad_z, context)
        network.assign(sgd.step(network.trainable, gradients, rate=step_schedule(rate, step, drops=(steps * 3 // 4,))))
        loss = float(to_numpy(value))
        if not np.isfinite(loss):
            _refuse_fault(network, step, f"the classification loss is {loss}")
        if step >= steps - max(steps // 10, 1):
            hits.append(float(np.mean(to_numpy(z)[:, :, 0, 0].argmax(1) == classes[chosen])))
        if checkpoint is not None and (step + 1) % checkpoint_every == 0:
            _refuse_fault(network, step)  # the last good checkpoint stays
            about = {"step": str(step + 1), "training": training, "rng": json.dumps(rng.bit_generator.state)}
            write_state(checkpoint, network, sgd, {"hits": np.array(hits, np.float64)}, about)
        if progress is not None:
            progress(step + 1, loss)
    _refuse_fault(network, steps - 1)
    return float(np.mean(hits))


def _refuse_fault(network: Sequential, step: int, seen: str = "") -> None:
    """Raise a TrainingError if something else was seen, or if a parameter cannot be used."""
    fault = fault_in({name: to_numpy(array) for name, array in network.parameters.items()})
    if said := " and ".join(filter(None, (seen, fault))):
        raise TrainingError(f"{said} at step {step + 1}: the pre-training diverged; lower its rate")
