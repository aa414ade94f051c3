"""The library's own errors: each names the file or argument at fault and says what to do next."""

from __future__ import annotations


class TinySegRankError(Exception):
    """Base class of every error that the library raises on purpose."""


class BackendError(TinySegRankError):
    """The array backend asked for is unknown, not installed, or has no usable device."""


class ShapeError(TinySegRankError, ValueError):
    """An array has the wrong shape, rank or dtype, or an option does not fit it."""


class DatasetError(TinySegRankError):
    """An image, mask, split file or folder is missing, unreadable or breaks the VOC conventions."""


class WeightsError(TinySegRankError):
    """A weight file is missing, damaged, or does not fit the network."""


class CheckpointError(TinySegRankError):
    """A checkpoint or the result of a stage is missing, damaged, or was made by something else."""


class TrainingError(TinySegRankError):
    """A training diverged, or has nothing to train on."""


class ConfigError(TinySegRankError):
    """A configuration has an unknown key, a value out of range, or does not fit the run folder it is used on."""
