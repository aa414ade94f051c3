"""Classify superpixels; the class probabilities give the unary costs of the CRF."""

from __future__ import annotations

import logging
from typing import Self

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.fitted import About, Arrays, Fitted
from tinysegrank.losses import soft_cross_entropy
from tinysegrank.nn import AdamW, Conv2d, Dropout, ReLU, Sequential, cosine_schedule, log_softmax
from tinysegrank.proposals.crf.inputs import InputTable
from tinysegrank.stored_rows import RowFile, row_blocks

LOGGER = logging.getLogger(__name__)
FEWEST = 5  # classes that are the most frequent label of fewer superpixels are not learnt
BLOCK = 2**15  # superpixels read at once
_FRACTIONS = 2**19  # superpixels whose fractions are read at once
DROPOUT = 0.2, 0.5  # probabilities of dropping an input and a hidden unit
DECAY = 1.0  # decoupled weight decay; large, since there are few images
FLOOR = 1e-6  # smallest probability of a class; also that of classes not learnt

Table = np.ndarray | InputTable


def _centre_and_scale(features: Table, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation (1 if constant) of each column over some rows: (D,) each."""
    total, square = np.zeros((2, features.shape[1]))
    for start in range(0, len(rows), BLOCK):
        block = features[rows[start : start + BLOCK]].astype(np.float32, copy=False)
        if not np.isfinite(block).all():
            raise ShapeError("features must be finite")
        total += block.sum(axis=0, dtype=np.float64)
        square += np.einsum("sd,sd->d", block, block, dtype=np.float64)
    centre = total / len(rows)
    deviation = np.sqrt(np.maximum(square / len(rows) - centre**2, 0))
    return centre.astype(np.float32), np.where(deviation > 1e-6, deviation, 1).astype(np.float32)


class SuperpixelClassifier(
    Fitted,
    tag="tinysegrank superpixel classifier 2",
    shapes={
        "prior": ("K",),
        "classes": ("C",),
        "centre": ("D",),
        "scale": ("D",),
        "hidden.weight": ("H", "D", 1, 1),
        "hidden.bias": ("H",),
        "output.weight": ("C", "H", 1, 1),
        "output.bias": ("C",),
    },
):
    """Classify superpixels by two 1 x 1 convolutions with dropout before each and a ReLU between.

    A superpixel is an image of one pixel. The network is trained on the shares of the classes in each superpixel by
    AdamW with a cosine schedule.

    Args:
        hidden: filters of the first convolution.
        rate: initial learning rate.
        epochs: passes over the superpixels.
        sample: number of superpixels to learn from, drawn without replacement; all if there are fewer.

    Attributes:
        prior_: (K,) float64, share of each class in the pixels fitted on.
        classes_: (C,) int64, the classes learnt, each the most frequent in at least 5 superpixels; the others keep
            the constant probability FLOOR, 1e-6.
        centre_, scale_: (D,) float32, mean and standard deviation of the features.
        network_: the layers.

    Raises:
        ConfigError: an option is out of range.
    """

    def __init__(self, *, hidden: int = 384, rate: float = 1e-3, epochs: int = 8, sample: int = 1_000_000) -> None:
        if min(hidden, epochs, sample) < 1 or rate < 0:
            raise ConfigError("hidden, epochs and sample must be at least 1, rate at least 0")
        self.hidden = hidden
        self.rate = rate
        self.epochs = epochs
        self.sample = sample

    def fit(
        self,
        features: Table,
        fractions: np.ndarray | RowFile,
        weights: np.ndarray,
        *,
        rng: np.random.Generator,
        rows: np.ndarray | None = None,
    ) -> Self:
        """Learn from the superpixels of all training images together.

        features  | (S, D) | floating | finite; an array, which may be a memory map, or an `InputTable`
        fractions | (S, K) | floating | distribution of the classes, as from `label_fractions`; may be on disk
        weights   | (S,)   | number   | pixels that are not void; rows with 0 count in the scaling alone
        rows      | (R,)   | integer  | numbers of the superpixels to learn from; all by default

        Minimises the cross-entropy with `fractions`, weighted by `weights`; no more than BLOCK (32,768) rows of
        `features` are held in memory at once.

        Raises:
            ShapeError: the arrays do not fit each other, a feature is not finite, no pixel has a label, or no class is
                the most frequent in 5 superpixels.
        """
        if len(features.shape) != 2 or fractions.ndim != 2 or not len(features) == len(fractions) == len(weights):
            raise ShapeError(
                f"features (S, D), fractions (S, K) and weights (S,) are needed, got {features.shape}, "
                f"{fractions.shape}, {weights.shape}"
            )
        rows = np.arange(len(features)) if rows is None else rows
        used = rows[weights[rows] > 0]
        if not len(used):
            raise ShapeError("weights: no superpixel has a pixel with a label; every label is void")
        pixels, main = np.zeros(fractions.shape[1]), np.zeros(fractions.shape[1], np.int64)
        for some in row_blocks(used, _FRACTIONS):
            known = fractions[some]
            pixels += weights[some] @ known.astype(np.float64)  # (K,)
            main += np.bincount(known.argmax(axis=1), minlength=known.shape[1])
        self.prior_ = pixels / pixels.sum()
        self.classes_ = np.flatnonzero(main >= FEWEST)
        if not len(self.classes_):
            raise ShapeError(f"fractions: no class is the main one of {FEWEST} superpixels; give more images")
        for k in np.flatnonzero(main < FEWEST):
            LOGGER.info("class %d is the main one of %d superpixels: given probability %g", k, main[k], FLOOR)
        self.centre_, self.scale_ = _centre_and_scale(features, rows)
        drawn = np.sort(rng.choice(used, min(self.sample, len(used)), replace=False))
        self._fit_network(features, fractions, weights, drawn, rng)
        return self

    def _fit_network(
        self,
        features: Table,
        fractions: np.ndarray | RowFile,
        weights: np.ndarray,
        rows: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        network = self.network_ = self._layers(rng)
        optimiser = AdamW(rate=self.rate, decay=DECAY, undecayed=("hidden.bias", "output.bias"))
        batch = min(max(32, len(rows) // 100), 512, len(rows))  # a small training set still gets 100 steps an epoch
        per_epoch = len(rows) // batch
        for epoch in range(self.epochs):
            order = rng.permutation(rows)
            for place in range(per_epoch):
                chosen = order[place * batch : (place + 1) * batch]
                mass = (fractions[chosen][:, self.classes_] * weights[chosen, None]).astype(np.float32)  # (N, C)
                weight = mass.sum(axis=1)  # (N,), without the pixels of classes that are not learnt
                target = mass / np.maximum(weight, 1e-6)[:, None]
                z, context = network.forward(self._standardised(features[chosen]), rng=rng)  # (N, C, 1, 1)
                _, grad_z = soft_cross_entropy(z, target[:, :, None, None], weight[:, None, None])
                _, gradients = network.backward(grad_z, context)
                rate = cosine_schedule(self.rate, epoch * per_epoch + place, self.epochs * per_epoch)
                network.assign(optimiser.step(network.parameters, gradients, rate=rate))

    def _layers(self, rng: np.random.Generator) -> Sequential:
        """Return the untrained network: Kaiming initialisation for the hidden layer, small weights for the output."""
        inputs, classes = len(self.centre_), len(self.classes_)
        parameters = {
            "hidden.weight": rng.standard_normal((self.hidden, inputs, 1, 1)) * np.sqrt(2 / inputs),
            "hidden.bias": np.zeros(self.hidden),
            "output.weight": rng.standard_normal((classes, self.hidden, 1, 1)) * 0.01,
            "output.bias": np.zeros(classes),
        }
        return _network({name: array.astype(np.float32) for name, array in parameters.items()})

    def _standardised(self, features: np.ndarray) -> np.ndarray:
        """Standardise rows (N, D), and return them as images of one pixel: (N, D, 1, 1) float32."""
        return ((features.astype(np.float32, copy=False) - self.centre_) / self.scale_)[:, :, None, None]

    def log_probabilities(self, features: np.ndarray, *, balance: float = 0.0) -> np.ndarray:
        """Return the log-probability of each class at each superpixel.

        features | (S, D) | floating | the columns fitted on
        returns  | (S, K) | float64  | nats; rows sum to 1 after exp; at least log(1e-6) where `balance` is 0

        Args:
            balance: power of the prior that each learnt class's probability is divided by, so that frequent classes
                do not suppress rare ones: 0 keeps the probabilities, 1 gives those for equally frequent classes.

        Raises:
            ShapeError: the number of columns differs from that in `fit`.
            ConfigError: `balance` is outside 0..1.
        """
        if features.ndim != 2 or features.shape[1] != len(self.centre_):
            raise ShapeError(f"features must be (S, {len(self.centre_)}), got {features.shape}")
        if not 0 <= balance <= 1:
            raise ConfigError(f"balance must be in 0..1, got {balance}")
        z = self.network_(self._standardised(features))[:, :, 0, 0].astype(np.float64)  # (S, C)
        score = np.full((len(z), len(self.prior_)), FLOOR)
        score[:, self.classes_] += (1 - FLOOR * len(self.prior_)) * np.exp(log_softmax(z, axis=1)[0])
        log = np.log(score)
        log[:, self.classes_] -= balance * np.log(self.prior_[self.classes_])
        if balance:
            log -= np.logaddexp.reduce(log, axis=1, keepdims=True)
        return log

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        arrays = {"prior": self.prior_, "classes": self.classes_, "centre": self.centre_, "scale": self.scale_}
        return {**arrays, **self.network_.parameters}, {}

    @classmethod
    def _restore(cls, arrays: Arrays, about: About) -> Self:  # noqa: ARG003
        new = cls(hidden=len(arrays["hidden.bias"]))
        new.prior_, new.classes_ = arrays["prior"], arrays["classes"]
        if not np.isin(new.classes_, np.arange(len(new.prior_))).all():
            raise ValueError(f"classes {new.classes_} of {len(new.prior_)}")
        new.centre_, new.scale_ = arrays["centre"], arrays["scale"]
        new.network_ = _network(arrays)
        return new


def _network(parameters: Arrays) -> Sequential:
    return Sequential(
        {
            "input_dropout": Dropout(p=DROPOUT[0]),
            "hidden": Conv2d(parameters["hidden.weight"], parameters["hidden.bias"]),
            "relu": ReLU(),
            "hidden_dropout": Dropout(p=DROPOUT[1]),
            "output": Conv2d(parameters["output.weight"], parameters["output.bias"]),
        }
    )
