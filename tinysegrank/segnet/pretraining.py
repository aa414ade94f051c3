"""Pre-train a trunk as an image classifier, if no ImageNet weights fit it.

Paper: section 3.1 takes conv1 to conv5 from a network trained on ImageNet. The tiny trunk is instead trained on images
of single objects: as in AlexNet, conv5 is pooled to 6 x 6 and followed by a fully connected layer (one is enough for 20
classes), which here is a 6 x 6 convolution.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tinysegrank.backend import Array, to_numpy
from tinysegrank.errors import ShapeError, TrainingError
from tinysegrank.losses import soft_cross_entropy
from tinysegrank.nn.layer import Conv2d, Gradients, MaxPool2d
from tinysegrank.nn.sequential import Sequential
from tinysegrank.nn.sgd import SGD
from tinysegrank.segnet.network import SegNet, on_its_device
from tinysegrank.segnet.training_loop import TrainingLoop

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
    classes | (N,)         | int   | 0..K-1, one per image
    returns | ()           | float | accuracy on the batches of the last tenth of the steps, each before training on it

    Args:
        steps: number of minibatches.
        rate: learning rate, divided by 10 after three quarters of the steps.
        batch: images per minibatch.
        seed: random seed of the classifying layer's weights and of the minibatches.
        checkpoint: file to resume from, if it exists; written every `checkpoint_every` steps and at the end.
        progress: called with the number of steps taken and the loss, after each step; also once when resuming, with
            NaN.

    Raises:
        TrainingError: there are no images or steps, the loss or a parameter is not finite, or a layer's weights are all
            0.
        CheckpointError: the checkpoint is damaged, belongs to another training, or was written on another backend.
        ShapeError: there is not one class per image, or a class is out of range.
    """
    if not len(images) or steps < 1:
        raise TrainingError(f"{len(images)} images and {steps} steps to pre-train the trunk; give at least one of each")
    if classes.shape != (len(images),) or not 0 <= classes.min() <= classes.max() < model.num_classes:
        raise ShapeError(f"classes: give one of 0..{model.num_classes - 1} for each of the {len(images)} images")
    training = _Pretraining(model, images, classes, steps, rate, batch, seed)
    if checkpoint is not None and checkpoint.is_file():
        training.resume(checkpoint)
        if progress is not None:
            progress(training.step, float("nan"))
    training.run(checkpoint=checkpoint, checkpoint_every=checkpoint_every, progress=progress)
    return float(np.mean(training.hits))


class _Pretraining(TrainingLoop):
    """The training of a trunk as a classifier, with pooling and a fully connected layer after it."""

    loss_name = "classification"

    def __init__(
        self, model: SegNet, images: np.ndarray, classes: np.ndarray, steps: int, rate: float, batch: int, seed: int
    ) -> None:
        rng, channels = np.random.default_rng([seed, 2]), model.preset.convolutions[-1].filters
        scores = Conv2d.initialised(channels, model.num_classes, POOLED, rng=rng, backend=model.backend)
        learnt_from = hashlib.sha256(images.tobytes() + classes.astype(np.int64).tobytes()).hexdigest()
        super().__init__(
            Sequential({**model.trunk.layers, "pool5": MaxPool2d(), "scores": scores}),
            model.backend,
            SGD(rate=rate, momentum=0.9, decay=5e-4, max_norm=5.0),
            steps=steps,
            drop=steps * 3 // 4,
            log_every=1,
            identity=repr((seed, steps, rate, batch, learnt_from)),
        )
        size = min(batch, len(images))
        self.chosen = [rng.choice(len(images), size=size, replace=False) for _ in range(steps)]
        self.model, self.images, self.classes, self.hits = model, images, classes, list[float]()

    def _loss_and_gradients(self) -> tuple[Array, Gradients]:
        chosen, K, asarray = self.chosen[self.step], self.model.num_classes, self.backend.asarray
        x = np.stack([self.model.preset.preprocessing.apply(self.images[i]) for i in chosen])  # (N, 3, S, S)
        x[: len(x) // 2] = x[: len(x) // 2, :, :, ::-1]
        target = np.eye(K, dtype=np.float32)[self.classes[chosen]][:, :, None, None]  # (N, K, 1, 1)
        z, context = self.network.forward(asarray(np.ascontiguousarray(x)))  # (N, K, 1, 1)
        value, grad_z = soft_cross_entropy(z, asarray(target))
        if self.step >= self.steps - max(self.steps // 10, 1):
            self.hits.append(float(np.mean(to_numpy(z)[:, :, 0, 0].argmax(1) == self.classes[chosen])))
        return value, self.network.backward(grad_z, context)[1]

    def _state(self) -> dict[str, np.ndarray]:
        return {"hits": np.array(self.hits, np.float64)}

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.hits = arrays["hits"].tolist()
