"""Outputs are looked at before long work: can they be written, and is nothing lost that the program has not made?"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from tinysegrank.errors import OutputError
from tinysegrank.files import destination, writing


def check_file(path: Path | str, *, option: str, begins: bytes = b"") -> None:
    """See that a file can be written, before it is.

    Args:
        path: the file, as the user gave it.
        option: what it was given by, such as "--out", for the message.
        begins: what the program's own files of this kind begin with; any other file that is there is not replaced.

    Raises:
        OutputError: naming the file, and what is wrong with it.
    """
    target = destination(path)
    if target is None:  # a device or a pipe
        return
    if target.exists():
        if any(os.path.samestat(target.stat(), os.fstat(number)) for number in _printed_to()):
            raise OutputError(f"{path}: is where this command prints to; choose another {option}")
        with writing(path), target.open("rb") as stream:
            start = stream.read(len(begins))
        if start not in (b"", begins):
            raise OutputError(f"{path}: is there, and was not written by this command; choose another {option}")
    check_folder(target.parent, named=path)


def check_folder(folder: Path, *, named: Path | str) -> None:
    """See that files can be made in a folder, which may be missing; a file is made there, or above, and removed.

    Raises:
        OutputError: about `named`, which is to be written there.
    """
    folder = Path(os.path.realpath(folder))
    nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    with writing(named), TemporaryFile(dir=nearest, buffering=0) as probe:
        probe.write(b"\n")


def check_results(results: Sequence[tuple[Path, Path]], *, option: str, replace: bool) -> None:
    """See that the results of several inputs can be written, and take the place of no input and of no other result.

    Paths are compared through links and without regard to case or to how an accent is spelt, as some file systems do.

    Args:
        results: each input with a file that is made from it.
        option: what the folder of the results was given by, for the message.
        replace: replace files that are there.

    Raises:
        OutputError: naming the input and the file.
    """
    for folder in {result.parent for _, result in results}:
        check_folder(folder, named=folder)
    inputs = {_identity(source): source for source, _ in results}
    made: dict[str, Path] = {}
    for source, result in results:
        target, place = destination(result), _identity(result)
        if place in inputs:
            raise OutputError(f"{source}: {result} would replace {inputs[place]}, an input; choose another {option}")
        if place in made:
            raise OutputError(f"{source}: {result} would be that of {made[place]} too; give them different {option}")
        if target is not None and target.exists() and not replace:
            raise OutputError(f"{result}: is there already; pass --force to replace it, or choose another {option}")
        made[place] = source


def _identity(path: Path) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", os.path.realpath(path)).casefold())


def _printed_to() -> list[int]:
    """The descriptors of the standard output and error, where they are open."""
    numbers = []
    for stream in (sys.stdout, sys.stderr):
        try:
            numbers.append(stream.fileno())
        except (AttributeError, OSError, ValueError):  # closed, or no file, as in a test or a notebook
            continue
    return numbers
