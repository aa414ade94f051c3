"""Turn what readers raise for damaged files into errors that name the file and say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinysegrank.errors import CheckpointError, ConfigError, ShapeError, TinySegRankError, brief, explain_os_error
from tinysegrank.stamps import check_file

_OF_CONTENT = (CheckpointError, ConfigError, ShapeError)
"""The library's own errors that what a file holds can cause where it is interpreted."""


@contextmanager
def reading(
    path: Path | str,
    raises: type[TinySegRankError] = CheckpointError,
    *,
    fault: str = "is damaged",
    remedy: str = "delete it and run again",
) -> Iterator[None]:
    """Turn errors of the enclosed code, which reads a file and interprets its content, into errors that name the file.

    For damaged content, NumPy, zip, JSON, pickle, SciPy and PIL raise nearly every kind of exception.

    Args:
        path: the file.
        raises: the error to raise instead. One that the enclosed code raises itself is not changed.
        fault: what the message says of a file whose content causes an error.
        remedy: what to do about it.

    Raises:
        CheckpointError: it is a file of a run, and is not as its stamp says.
    """
    try:
        check_file(path)
        yield
    except Exception as error:
        if isinstance(error, raises) or (isinstance(error, TinySegRankError) and not isinstance(error, _OF_CONTENT)):
            raise
        if isinstance(error, CheckpointError) and error.__cause__ is None:  # it is not as its stamp says
            raise
        cause = error.__cause__ if isinstance(error, CheckpointError) and error.__cause__ else error
        if isinstance(cause, FileNotFoundError) and raises is CheckpointError:
            said = f"{path}: is missing; repeat the command that makes it"
        elif isinstance(cause, OSError) and cause.errno is not None:  # without a number, the content is damaged
            said = explain_os_error(path, cause)
        elif isinstance(cause, MemoryError):
            said = f"{path}: {fault}, or too large for this computer's memory; {remedy}"
        else:
            said = f"{path}: {fault} ({_reason(cause)}); {remedy}"
        raise raises(said) from cause


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{brief(error)} is missing"
    if isinstance(error, RecursionError):
        return "brackets in brackets"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return brief(str(error).strip().partition("\n")[0].rstrip(":")) or type(error).__name__
