"""The probability of each class at a superpixel, learnt from its features: the unary costs of the CRF."""

from __future__ import annotations

import logging
import warnings
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.fitted import About, Arrays, Fitted
from tinysegrank.proposals.crf.network import Perceptron
from tinysegrank.voc import CLASS_NAMES, NUM_CLASSES, VOID

LOGGER = logging.getLogger(__name__)
FEWEST = 5  # a class that is the main one of fewer superpixels is not learnt
BLOCK = 2**15  # superpixels read at once
FLOOR = 1e-6  # probability that every class has at least, and all that a class not learnt has


def label_fractions(
    labels: NDArray[np.integer], superpixels: NDArray[np.integer], *, num_classes: int = NUM_CLASSES
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Distribution of the true classes over each superpixel, and the number of pixels that it stands for.

    labels      | (H, W) | integer | 0..K-1, or 255 where void
    superpixels | (H, W) | integer | 0..S-1
    fractions   | (S, K) | float32 | rows sum to 1, or to 0 where all is void
    weights     | (S,)   | int64   | pixels that are not void

    Raises:
        ShapeError: the arrays differ in size.
    """
    if labels.shape != superpixels.shape:
        raise ShapeError(f"labels {labels.shape} and superpixels {superpixels.shape} must have the same size")
    count = int(superpixels.max()) + 1
    known = labels != VOID
    joint = superpixels[known].astype(np.int64) * num_classes + labels[known]
    pixels = np.bincount(joint, minlength=count * num_classes).reshape(count, num_classes)
    weights = pixels.sum(axis=1)
    return (pixels / np.maximum(weights, 1)[:, None]).astype(np.float32), weights


def _centre_and_scale(
    features: NDArray[np.float32], rows: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of the columns (1 for one that is constant), by blocks of rows."""
    total, square = np.zeros((2, features.shape[1]))
    for start in range(0, len(rows), BLOCK):
        block = features[rows[start : start + BLOCK]]
        if not np.isfinite(block).all():
            raise ShapeError("features must be finite")
        total += block.sum(axis=0, dtype=np.float64)
        square += np.einsum("sd,sd->d", block, block, dtype=np.float64)
    centre = total / len(rows)
    deviation = np.sqrt(np.maximum(square / len(rows) - centre**2, 0))
    return centre.astype(np.float32), np.where(deviation > 1e-6, deviation, 1).astype(np.float32)


class SuperpixelClassifier(
    Fitted,
    tag="tinysegrank superpixel classifier 1",
    shapes={"prior": ("K",), "classes": ("C",), "centre": ("D",), "scale": ("D",)},
):
    """A few multilayer perceptrons, each trained by scikit-learn on a part of the superpixels, and their mean.

    Args:
        hidden: units of the one hidden layer.
        penalty: of half the squared weights, against the mean cross-entropy; large, as the images are few.
        epochs: passes over the part.
        members: perceptrons to average.
        sample: superpixels that each member draws, without replacement; all where there are fewer.

    Attributes:
        prior_: (K,) float64, share of each class in the pixels fitted on.
        classes_: (C,) int64, the classes learnt; the others keep the constant probability FLOOR.
        centre_, scale_: (D,) float32, mean and standard deviation of the features.
        members_: the perceptrons.
    """

    def __init__(
        self, *, hidden: int = 128, penalty: float = 0.01, epochs: int = 10, members: int = 2, sample: int = 200_000
    ) -> None:
        if min(hidden, epochs, members, sample) < 1 or penalty < 0:
            raise ConfigError("hidden, epochs, members and sample must be at least 1 and penalty at least 0")
        self.hidden = hidden
        self.penalty = penalty
        self.epochs = epochs
        self.members = members
        self.sample = sample

    def fit(
        self,
        features: NDArray[np.float32],
        fractions: NDArray[np.floating],
        weights: NDArray[np.number],
        *,
        rng: np.random.Generator,
        rows: NDArray[np.intp] | None = None,
    ) -> Self:
        """Learn from the superpixels of all training images together.

        features  | (S, D) | float32  | finite
        fractions | (S, K) | floating | distribution of the classes, as from `label_fractions`
        weights   | (S,)   | number   | pixels that are not void; superpixels with 0 are left out
        rows      | (R,)   | integer  | the superpixels to learn from, in order; all by default

        Minimises the cross-entropy with `fractions`, each superpixel counting by `weights`. `features` may be a memory
        map: only the drawn superpixels are held in memory at once.

        Raises:
            ShapeError: the arrays do not fit each other, or hold no pixel with a label.
        """
        if fractions.ndim != 2 or features.ndim != 2 or not len(features) == len(fractions) == len(weights):
            raise ShapeError(
                f"features (S, D), fractions (S, K) and weights (S,) are needed, got {features.shape}, "
                f"{fractions.shape}, {weights.shape}"
            )
        rows = np.arange(len(features)) if rows is None else rows
        used = rows[weights[rows] > 0]
        if not len(used):
            raise ShapeError("weights: no superpixel has a pixel with a label; every label is void")
        known = fractions[used]
        pixels = weights[used] @ known.astype(np.float64)  # (K,)
        self.prior_ = pixels / pixels.sum()
        main = np.bincount(known.argmax(axis=1), minlength=known.shape[1])
        self.classes_ = np.flatnonzero(main >= FEWEST)
        self._report(main)
        self.centre_, self.scale_ = _centre_and_scale(features, rows)
        self.members_: tuple[Perceptron, ...] = ()
        while len(self.classes_) > 1 and len(self.members_) < self.members:
            drawn = np.sort(rng.choice(used, min(self.sample, len(used)), replace=False))
            self.members_ += (self._fit_member(features, fractions, weights, drawn, seed=int(rng.integers(2**31))),)
        return self

    def _report(self, main: NDArray[np.integer]) -> None:
        if not len(self.classes_):
            raise ShapeError(f"fractions: no class is the main one of {FEWEST} superpixels; give more images")
        for k in np.flatnonzero(main < FEWEST):
            name = CLASS_NAMES[k] if len(main) == NUM_CLASSES else str(k)
            LOGGER.info("class %s is the main one of %d superpixels: given probability %g", name, main[k], FLOOR)

    def _fit_member(
        self,
        features: NDArray[np.float32],
        fractions: NDArray[np.floating],
        weights: NDArray[np.number],
        rows: NDArray[np.intp],
        *,
        seed: int,
    ) -> Perceptron:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        # A superpixel of two classes becomes two examples, weighted by their pixels: the same cross-entropy.
        mass = fractions[np.ix_(rows, self.classes_)] * weights[rows, None]  # (rows, C)
        row, target = np.nonzero(mass)
        share = mass[row, target]
        x = features[rows[row]]  # (examples, D), standardised in place: the largest array by far
        x -= self.centre_
        x /= self.scale_
        batch = min(max(32, len(row) // 100), 1024, len(row))  # a small training set still gets 100 steps an epoch
        model = MLPClassifier(
            (self.hidden,),
            alpha=self.penalty * batch,  # scikit-learn divides it by the batch
            batch_size=batch,
            max_iter=self.epochs,
            n_iter_no_change=self.epochs + 1,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is the stopping rule
            model.fit(x, target, sample_weight=share / share.mean())
        return Perceptron.from_sklearn(model)

    def log_probabilities(self, features: NDArray[np.float32], *, balance: float = 0.0) -> NDArray[np.float64]:
        """Log-probability of each class at each superpixel.

        features | (S, D) | float32 |
        returns  | (S, K) | float64 | nats; rows sum to 1 after exp; at least log(FLOOR) where `balance` is 0

        Args:
            features: the columns fitted on.
            balance: power of the class's prior to divide by, so that frequent classes do not swallow rare ones: 0 keeps
                the probabilities, 1 gives those under equally frequent classes.

        Raises:
            ShapeError: the columns are not as many as those fitted on.
            ConfigError: `balance` is outside 0..1.
        """
        if features.ndim != 2 or features.shape[1] != len(self.centre_):
            raise ShapeError(f"features must be (S, {len(self.centre_)}), got {features.shape}")
        if not 0 <= balance <= 1:
            raise ConfigError(f"balance must be in 0..1, got {balance}")
        x = (features.astype(np.float32) - self.centre_) / self.scale_
        mean = np.ones((len(x), len(self.classes_)))  # of the one class, if there is only one
        if self.members_:
            mean = np.mean([member.probabilities(x).astype(np.float64) for member in self.members_], axis=0)
        score = np.full((len(x), len(self.prior_)), FLOOR)
        score[:, self.classes_] += (1 - FLOOR * len(self.prior_)) * mean
        log: NDArray[np.float64] = np.log(score)
        log[:, self.classes_] -= balance * np.log(self.prior_[self.classes_])
        if balance:
            log -= np.logaddexp.reduce(log, axis=1, keepdims=True)
        return log

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        arrays = {"prior": self.prior_, "classes": self.classes_, "centre": self.centre_, "scale": self.scale_}
        for m, member in enumerate(self.members_):
            arrays |= member.arrays(f"member{m}.")
        return arrays, {"members": str(len(self.members_))}

    @classmethod
    def _restore(cls, arrays: Arrays, about: About) -> Self:
        count = int(about["members"])
        new = cls(members=max(1, count))
        new.prior_, new.classes_ = arrays["prior"], arrays["classes"]
        new.centre_, new.scale_ = arrays["centre"], arrays["scale"]
        new.members_ = tuple(Perceptron.from_arrays(arrays, f"member{m}.") for m in range(count))
        for member in new.members_:
            if member.weights[0].shape[0] != len(new.centre_) or member.weights[-1].shape[1] != len(new.classes_):
                raise ValueError(
                    f"a perceptron does not fit {len(new.centre_)} columns and {len(new.classes_)} classes"
                )
        return new
