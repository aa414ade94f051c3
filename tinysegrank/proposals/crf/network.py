"""A multilayer perceptron that scikit-learn has trained, as plain arrays: its prediction in a few lines of NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import CheckpointError


@dataclass(frozen=True, eq=False)
class Perceptron:
    """Layers of ReLU units under a softmax.

    weights | one (inputs, outputs) each | float32
    biases  | one (outputs,) each        | float32
    """

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Take over the layers of a fitted MLPClassifier with ReLU units."""
        weights = [np.asarray(w, np.float32) for w in model.coefs_]
        biases = [np.asarray(b, np.float32) for b in model.intercepts_]
        if model.out_activation_ == "logistic":  # two classes: sigmoid(z) is the second of softmax(0, z)
            weights[-1] = np.pad(weights[-1], ((0, 0), (1, 0)))
            biases[-1] = np.pad(biases[-1], (1, 0))
        return cls(tuple(weights), tuple(biases))

    def probabilities(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of each output.

        x       | (N, D) | float32
        returns | (N, C) | float32 | rows sum to 1
        """
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ weight + bias, 0)
        z = x @ self.weights[-1] + self.biases[-1]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = e / e.sum(axis=1, keepdims=True)
        return probabilities

    def arrays(self, prefix: str) -> dict[str, NDArray[np.float32]]:
        """Name the arrays for a file, each name starting with `prefix`."""
        named = {f"{prefix}weight{k}": w for k, w in enumerate(self.weights)}
        return named | {f"{prefix}bias{k}": b for k, b in enumerate(self.biases)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]], prefix: str) -> Self:
        """Undo `arrays`.

        Raises:
            CheckpointError: layers are missing or do not follow on each other.
        """
        depth = sum(name.startswith(f"{prefix}weight") for name in arrays)
        try:
            weights = tuple(arrays[f"{prefix}weight{k}"] for k in range(depth))
            biases = tuple(arrays[f"{prefix}bias{k}"] for k in range(depth))
        except KeyError as error:
            raise CheckpointError(f"array {error} is missing; fit and save again") from error
        sizes = [weight.shape for weight in weights]
        if not depth or any(
            len(size) != 2 or bias.shape != size[1:] or (k and sizes[k - 1][1] != size[0])
            for k, (size, bias) in enumerate(zip(sizes, biases, strict=True))
        ):
            raise CheckpointError(f"{prefix}: layers of sizes {sizes} do not follow on each other; fit and save again")
        return cls(weights, biases)
