"""Check outputs before long work: that they can be written, and that no file of the user's would be overwritten."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from tinysegrank.errors import ConfigError, OutputError
from tinysegrank.files import destination, writing
from tinysegrank.stamps import STAMP


def check_file(path: Path | str, *, option: str, begins: bytes = b"") -> None:
    """Check that a file can be written, and that no file but an earlier output of the program would be replaced.

    Args:
        path: path of the file, as the user gave it.
        option: name of the command-line option with the path, such as "--out", for the message.
        begins: first bytes of the program's own files of this kind. An existing file that starts with other bytes is
            refused, unless it is empty; b"" accepts any file.

    Raises:
        OutputError: the file cannot be written, is among a run's results, is where this command prints to, or is not
            the program's own.
    """
    target = destination(path)
    if target is None:  # a device or a pipe
        return
    _check_no_artifact(path, target.parent, option)
    if target.exists():
        if any(os.path.samestat(target.stat(), os.fstat(number)) for number in _printed_to()):
            raise OutputError(f"{path}: is where this command prints to; choose another {option}")
        with writing(path), target.open("rb") as stream:
            start = stream.read(len(begins))
        if start not in (b"", begins):
            raise OutputError(f"{path}: exists and was not written by this command; choose another {option}")
    check_folder(target.parent, named=path)


def check_folder(folder: Path, *, named: Path | str) -> None:
    """Check that files can be created in a folder, by a temporary one there or in the nearest folder above that exists.

    Raises:
        OutputError: they cannot be created; the message names `named`, the output to be written there.
    """
    folder = Path(os.path.realpath(folder))
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    with writing(named), TemporaryFile(dir=nearest, buffering=0) as probe:
        probe.write(b"\n")


def check_results(
    results: Sequence[tuple[Path, Path]], *, option: str, replace: bool, skip: bool | None = None
) -> set[Path]:
    """Check that a result can be written for each input, and that none would overwrite an input or another result.

    Paths are compared with links resolved, and without regard to case or Unicode normalisation, as some file systems
    compare them.

    Args:
        results: pairs of an input and a file that is made from it.
        option: name of the command-line option with the results' folder, for the message.
        replace: whether existing files may be replaced.
        skip: whether existing files are kept, and only missing ones written; None where the command cannot.

    Returns:
        The results to write.

    Raises:
        ConfigError: both `replace` and `skip` are set.
        OutputError: a result cannot or must not be written; the message names it.
    """
    if replace and skip:
        raise ConfigError("--force replaces existing files and --skip-existing keeps them; pass one of them")
    for folder, result in {result.parent: result for _, result in results}.items():
        _check_no_artifact(result, folder, option)
        check_folder(folder, named=folder)
    inputs = {_identity(source): source for source, _ in results}
    made, kept = dict[str, Path](), set[Path]()
    for source, result in results:
        target, place = destination(result), _identity(result)
        if place in inputs:
            raise OutputError(f"{source}: {result} would replace {inputs[place]}, an input; choose another {option}")
        if place in made:
            raise OutputError(f"{source}: {result} is also the output of {made[place]}; give each its own {option}")
        if target is not None and target.exists() and not replace:
            if not skip:
                keep = "" if skip is None else ", --skip-existing to keep it"
                raise OutputError(
                    f"{result}: already exists; pass --force to replace it{keep}, or choose another {option}"
                )
            kept.add(result)
        made[place] = source
    return {result for _, result in results if result not in kept}


def _check_no_artifact(path: Path | str, folder: Path, option: str) -> None:
    """Check that a folder isn't part of a run's artifact, which the run replaces or deletes as a whole.

    Raises:
        OutputError: it is; the message names `path`, the output, and `option`.
    """
    folder = Path(os.path.realpath(folder))
    for place in (folder, *folder.parents):
        with writing(path):
            stamped = (place / STAMP).exists()
        if stamped:
            raise OutputError(f"{path}: is in {place}, the results of a run; choose another {option}")


def _identity(path: Path) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", os.path.realpath(path)).casefold())


def _printed_to() -> list[int]:
    """Return the file descriptors of standard output and standard error, if open."""
    numbers = []
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed, or not a file, as in a test or a notebook
            numbers.append(stream.fileno())
    return numbers
