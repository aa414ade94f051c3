"""The library's own errors: each names the file or argument at fault and says what to do next."""

from __future__ import annotations

import errno
import sys
import warnings
from pathlib import Path
from typing import Literal

_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EISDIR: "give a file",
    errno.ENOTDIR: "it or a folder above it is a file",
    errno.EEXIST: "it or a folder above it is a file",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ELOOP: "remove the links that lead to each other",
    errno.EACCES: "change its permissions",
    errno.EPERM: "change its permissions",
    errno.EROFS: "choose a folder that can be written to",
    errno.EMFILE: "raise the limit with `ulimit -n 4096`",
    errno.ENFILE: "close other programs",
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EIO: "check the disk or the network drive",
}


# JAX; CUDA's runtime, as torch and as CuPy report it, and its driver; cuBLAS and cuDNN
_SHORTAGE = (
    "RESOURCE_EXHAUSTED",
    "CUDA error: out of memory",
    "cudaErrorMemoryAllocation",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "STATUS_ALLOC_FAILED",
)


class TinySegRankError(Exception):
    """Base class of every error that the library raises on purpose."""


class BackendError(TinySegRankError):
    """The array backend asked for is unknown, not installed, or has no usable device."""


class ShapeError(TinySegRankError, ValueError):
    """An array has a shape, dtype or values that a function cannot use, or an option of such a function is wrong."""


class DatasetError(TinySegRankError):
    """An image, mask, split file or folder is missing, unreadable or breaks the VOC conventions."""


class WeightsError(TinySegRankError):
    """A weight file is missing, damaged, or does not fit the network."""


class DownloadError(TinySegRankError):
    """A file cannot be downloaded, or is not the published one."""


class CheckpointError(TinySegRankError):
    """A checkpoint or a stage's result is missing, damaged, or of another model or program."""


class TrainingError(TinySegRankError):
    """Training diverged, or there is nothing to train on."""


class ConfigError(TinySegRankError):
    """A configuration has an unknown key or a value out of range, or does not fit the run folder it is used with."""


class OutputError(TinySegRankError):
    """A file or folder cannot be written, or must not be overwritten: it is an input, or not this program's output."""


class MemoryShortageError(TinySegRankError):
    """The memory of the machine, or of a device, ran out."""


class WorkerError(TinySegRankError):
    """A worker process ended before its task: it crashed or was killed, by SIGKILL most likely for lack of memory."""


def brief(value: object, length: int = 120) -> str:
    """Return a value as text for a message: on one line, with ? for characters that cannot be printed.

    A text longer than `length` characters loses its middle.
    """
    text = "".join(c if c.isprintable() else "?" for c in " ".join(str(value).split()))
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


def explain_os_error(path: Path | str, error: OSError, *, action: Literal["read", "written"] = "read") -> str:
    """Return one line about a failed system call, such as "FILE: cannot be read: No such file ...; check the path".

    The cause is in the system's own words. The error must come from the operating system, so `error.errno` is set:
    libraries also raise an OSError for damaged files, but without a number.
    """
    cause = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{path}: cannot be {action}: {cause}" + (f"; {remedy}" if remedy else "")


def plain_warnings() -> None:
    """Show the package's warnings in this process as one plain line each; hide other libraries' warnings and logs.

    Those tell a user nothing, and the package checks for such faults itself where they matter. With Python's option -W
    or PYTHONWARNINGS, nothing is changed.
    """
    if not sys.warnoptions:
        import logging

        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", category=UserWarning, module=r"tinysegrank\b")
        warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
        logging.getLogger().addHandler(logging.NullHandler())  # else Python prints errors that are logged


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python or of an array library says that the machine or a device is out of memory."""
    by_name = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # CuPy's and torch's
    return by_name or any(word in str(error) for word in _SHORTAGE)
