"""Assignment of images to folds, for features by networks that were not trained on the image."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from tinysegrank.errors import ConfigError, DatasetError


def assign_folds(names: Sequence[str], count: int, *, seed: int) -> np.ndarray:
    """Assign each image to one of `count` folds, whose sizes differ by at most one.

    returns | (len(names),) | int64 | 0..count-1, the fold of each name

    The fold of a name depends on the set of names and on the seed, not on their order or the NumPy version:
    names are sorted by their SHA-256 with the seed, then dealt out in turn. An image and its mirror image share one
    name, hence one fold.

    Raises:
        ConfigError: fewer than two folds, or more folds than names.
        DatasetError: a name is duplicated.
    """
    if not 2 <= count <= len(names):
        raise ConfigError(f"folds: {count} folds of {len(names)} images; choose from 2 to the number of images")
    if len(set(names)) != len(names):
        raise DatasetError("names: an image is duplicated, and would be tested on itself; list each image once")
    order = sorted(range(len(names)), key=lambda index: sha256(f"{seed}/{names[index]}".encode()).digest())
    folds = np.empty(len(names), np.int64)
    folds[order] = np.arange(len(names)) % count
    return folds
