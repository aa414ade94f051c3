"""Save and load fitted models as safetensors files with a format tag, which are checked when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from tinysegrank.errors import CheckpointError, TrainingError, brief
from tinysegrank.files import read_about, read_arrays, reading, write_arrays

Arrays = Mapping[str, np.ndarray]
About = Mapping[str, str]
Shapes = Mapping[str, tuple[int | str, ...]]


class Fitted:
    """Base class of fitted models and tables that can be saved and loaded.

    A subclass passes these class keyword arguments:

    tag: name and version of its file format.
    shapes: shape of each array, by name. A size is a number, or a string that stands for the same number everywhere.
    not_finite: names of the arrays that may contain NaN or infinity.

    It overrides `_state` unless the arrays are its attributes of the same names, and `_restore` unless `cls(**arrays)`
    makes it.
    """

    _tag: ClassVar[str]
    _shapes: ClassVar[Shapes]
    _not_finite: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, tag: str, shapes: Shapes, not_finite: tuple[str, ...] = ()) -> None:
        cls._tag, cls._shapes, cls._not_finite = tag, shapes, not_finite

    def _state(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return arrays and strings to store, each by name; by default the attributes in `shapes`, and no strings."""
        return {name: getattr(self, name) for name in self._shapes}, {}

    @classmethod
    def _restore(cls, arrays: Arrays, about: About) -> Self:  # noqa: ARG003
        """Make the model from stored arrays and strings; raise KeyError, ValueError or TinySegRankError for damage."""
        return cls(**{name: arrays[name] for name in cls._shapes})

    def save(self, path: Path | str) -> None:
        """Write the model as one safetensors file, atomically.

        Raises:
            TrainingError: a number that was fitted is not finite.
            OutputError: the file cannot be written.
        """
        arrays, about = self._state()
        if bad := _not_finite_in(arrays, self._not_finite):
            raise TrainingError(
                f"{path}: is not written, as {bad} of the {self._tag} holds NaN or infinity: the fit diverged; "
                f"check the images and settings that it was fitted to"
            )
        write_arrays(path, arrays, about={"format": self._tag, **about})

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a model that `save` wrote.

        Raises:
            CheckpointError: the file is missing, damaged, or of another format.
        """
        about, arrays = read_checked(path, cls._tag, shapes=cls._shapes, not_finite=cls._not_finite)
        with reading(path):
            return cls._restore(arrays, about)


def read_checked(
    path: Path | str, tag: str, *, shapes: Shapes | None = None, not_finite: tuple[str, ...] = ()
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Read and check a file; return its strings and its arrays, both by name. For the arguments see `Fitted`.

    Raises:
        CheckpointError: the file is missing or damaged, has another tag, lacks an array of `shapes`, or has one of
            another shape, of a type that isn't numeric, or with NaN or infinity.
    """
    arrays, about = read_arrays(path), read_about(path)
    if (found := about.get("format")) != tag:
        raise CheckpointError(
            f"{path}: does not hold a {tag} (its format is {brief(repr(found), 60)}); fit it again and save it there"
        )
    with reading(path):
        sizes: dict[str, int] = {}
        for name, shape in (shapes or {}).items():
            actual = arrays[name].shape
            pairs = zip(shape, actual, strict=False)
            expected = tuple(sizes.setdefault(size, n) if isinstance(size, str) else size for size, n in pairs)
            if len(shape) != len(actual) or actual != expected:
                wanted = ", ".join(map(str, shape))
                raise ValueError(f"array {name!r} {actual} does not fit the others; its shape should be ({wanted})")
        for name, array in arrays.items():
            if array.dtype.kind not in "fiub":
                raise ValueError(f"array {name!r} holds {array.dtype}")
        if bad := _not_finite_in(arrays, not_finite):
            raise ValueError(f"array {bad!r} holds NaN or infinity")
    return about, arrays


def _not_finite_in(arrays: Arrays, may_be: tuple[str, ...]) -> str:
    """Return the name of an array with NaN or infinity, but not of those in `may_be`; "" if there is none."""
    checked = (name for name, array in arrays.items() if name not in may_be and array.dtype.kind == "f")
    return next((name for name in checked if not np.isfinite(arrays[name]).all()), "")
