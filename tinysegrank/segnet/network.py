"""SegNet: eight convolutions from an image to a 13 x 13 grid of class scores.

Paper: section 3.1. conv1 to conv5 are an ImageNet classifier's and stay fixed; conv6 to conv8 are new, with dropout
before each. The paper gives no kernel size for them; with 3 x 3 and padding 1 the receptive field is 259 pixels wide,
more than the input's 227. This is not the later encoder-decoder of the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from tinysegrank.backend import Array, Backend, get_backend
from tinysegrank.config import look_up
from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.nn.layer import Conv2d, Dropout, Gradients, Layer, LocalResponseNorm, MaxPool2d, ReLU
from tinysegrank.nn.sequential import Sequential
from tinysegrank.segnet.presets import PRESETS, Preset
from tinysegrank.segnet.weight_files import trunk_of

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
TRUNK = ("conv1", "conv2", "conv3", "conv4", "conv5")


def on_its_device(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function to run with the device of its first argument's `backend` as CuPy's current device."""

    @wraps(function)
    def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        model: Any = args[0]
        with model.backend.active():
            return function(*args, **kwargs)

    return called


class SegNet:
    """SegNet, with its parameters on one array backend.

    Args:
        num_classes: number of classes K, background included.
        preset: a name in `PRESETS`: "caffenet", "alexnet", "torchvision", "tiny" or one of your own.
        rng: generator of the initial weights: Kaiming normal, conv8 Gaussian with standard deviation 0.01; by default
            one with seed 0.
        backend: array backend of the parameters; by default the one that TINYSEGRANK_BACKEND names.
        feature_scale: factor on conv5's features; experiments choose it so that their root mean square is 1.
        dropout: probability before each of the new layers; by default the preset's.
        frozen: names of the layers that are not trained.

    Attributes:
        network: all layers. `trunk` holds the same layers up to relu5, and `head` those after it.
        preset: the `Preset`, and preset_name its name.
        num_classes, backend, feature_scale, dropout: the arguments.

    Raises:
        ConfigError: the preset is unknown, or a number is out of range.
        ShapeError: `frozen` has a name that isn't a layer's.
        BackendError: the backend cannot be used.
    """

    def __init__(
        self,
        num_classes: int = 21,
        preset: str = "caffenet",
        *,
        rng: np.random.Generator | None = None,
        backend: Backend | None = None,
        feature_scale: float = 1.0,
        dropout: float | None = None,
        frozen: tuple[str, ...] = TRUNK,
    ) -> None:
        self.num_classes, self.preset_name, self.preset = num_classes, preset, look_up(PRESETS, preset, "preset")
        self.dropout = self.preset.dropout if dropout is None else dropout
        if num_classes < 1 or not 0 <= self.dropout < 1:
            raise ConfigError(f"num_classes={num_classes}, dropout={dropout}: give 1 or more, and dropout in [0, 1)")
        self.backend = get_backend() if backend is None else backend
        rng = np.random.default_rng(0) if rng is None else rng
        trunk = _build_trunk(self.preset, rng, self.backend)
        head = _build_head(self.preset, num_classes, self.dropout, rng, self.backend)
        self._scale = FeatureScale()
        self.feature_scale = feature_scale
        self.trunk = Sequential(trunk, frozen=TRUNK)
        self.head = Sequential({"scale5": self._scale, **head}, frozen=head.keys() & set(frozen))
        self.network = Sequential({**trunk, "scale5": self._scale, **head}, frozen=frozen)
        self._context: tuple[Sequential, list[Any]] | None = None

    @property
    def feature_scale(self) -> float:
        """Factor on conv5's features before conv6."""
        return self._scale.factor

    @feature_scale.setter
    def feature_scale(self, factor: float) -> None:
        if not 0 < factor < np.inf:
            raise ConfigError(f"feature_scale={factor} must be positive and finite")
        self._scale.factor = float(factor)

    @property
    def parameters(self) -> dict[str, Array]:
        """All parameters by name, "conv1.weight" to "conv8.bias"."""
        return self.network.parameters

    @property
    def trainable(self) -> dict[str, Array]:
        """The parameters of the layers that are not frozen, by name."""
        return self.network.trainable

    def assign(self, parameters: dict[str, Array]) -> None:
        """Replace parameters by name; host arrays are moved to the backend.

        Raises:
            ShapeError: a name is unknown, or an array's shape is not that of the parameter.
        """
        self.network.assign({name: self.backend.asarray(array) for name, array in parameters.items()})

    def load_weights(self, path: Path | str) -> None:
        """Load conv1 to conv5 from a .caffemodel, a torch checkpoint, a .safetensors or a .npz file.

        Raises:
            WeightsError: the file cannot be used; see `weight_files.trunk_of`.
        """
        shapes = {name: tuple(array.shape) for name, array in self.trunk.parameters.items()}
        self.assign(trunk_of(path, self.preset_name, shapes))

    @on_its_device
    def features(self, x: Array) -> Array:
        """Evaluate conv1 to conv5.

        x       | (N, 3, S, S)   | float32 | prepared images, `preset.preprocessing`
        returns | (N, C, 13, 13) | float32 | conv5 after ReLU, not scaled
        """
        return self.trunk(x)

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> Array:
        """Compute class scores from prepared images; store what `backward` needs.

        x       | (N, 3, S, S)   | float32 | prepared images
        returns | (N, K, 13, 13) | float32 | scores before the softmax (13 at the preset's input size)

        Args:
            rng: draws the units that dropout removes; None for no dropout.
        """
        return self._forward(self.network, x, rng)

    def forward_features(self, features: Array, *, rng: np.random.Generator | None = None) -> Array:
        """Compute class scores as `forward`, from the result of `features`; `backward` then covers the head alone."""
        return self._forward(self.head, features, rng)

    @on_its_device
    def backward(self, gradient: Array) -> Gradients:
        """Backpropagate through the last forward pass, of the whole network or of the head; each pass can be used once.

        gradient | (N, K, 13, 13)     | float32 | gradient of the loss with respect to the scores
        returns  | parameter's shapes | float32 | gradients with respect to the trainable parameters, by name

        Raises:
            ShapeError: there was no forward pass since the last backward pass.
        """
        if self._context is None:
            raise ShapeError("SegNet.backward: call forward first; each forward pass serves one backward pass")
        network, context = self._context
        self._context = None
        _, gradients = network.backward(gradient, context)
        return gradients

    @on_its_device
    def _forward(self, network: Sequential, x: Array, rng: np.random.Generator | None) -> Array:
        z, context = network.forward(x, rng=rng)
        self._context = (network, context)
        return z


class FeatureScale:
    """Layer that multiplies by a fixed number, 1 until `factor` is set."""

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.factor = 1.0

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, float]:  # noqa: ARG002
        """Return x times the factor, and the factor for `backward`."""
        return x * self.factor, self.factor

    def backward(self, gradient: Array, context: float, **_: bool) -> tuple[Array | None, Gradients]:
        """Return the gradient times the factor of `forward`, and no gradients of parameters."""
        return gradient * context, {}


def _build_trunk(preset: Preset, rng: np.random.Generator, backend: Backend) -> dict[str, Layer]:
    """Build conv1 to conv5, each followed by a ReLU, and the first two also by the layers of `preset.between`."""
    layers: dict[str, Layer] = {}
    channels = 3
    for number, shape in enumerate(preset.convolutions, start=1):
        layers[f"conv{number}"] = Conv2d.initialised(channels, **vars(shape), rng=rng, backend=backend)
        layers[f"relu{number}"] = ReLU()
        if number <= 2:
            layers |= {
                f"{kind}{number}": MaxPool2d() if kind == "pool" else LocalResponseNorm() for kind in preset.between
            }
        channels = shape.filters
    return layers


def _build_head(
    preset: Preset, num_classes: int, dropout: float, rng: np.random.Generator, backend: Backend
) -> dict[str, Layer]:
    first, second = preset.head
    features = preset.convolutions[-1].filters
    head: dict[str, Layer] = {
        "dropout6": Dropout(p=dropout),
        "conv6": Conv2d.initialised(features, first, 3, padding=1, rng=rng, backend=backend),
        "relu6": ReLU(),
        "dropout7": Dropout(p=dropout),
        "conv7": Conv2d.initialised(first, second, 3, padding=1, rng=rng, backend=backend),
        "relu7": ReLU(),
        "dropout8": Dropout(p=dropout),
        "conv8": Conv2d.initialised(second, num_classes, 3, padding=1, rng=rng, backend=backend, deviation=0.01),
    }
    return head if preset.change_head is None else preset.change_head(head, backend)
