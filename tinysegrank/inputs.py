"""Check the files and folders that a command is given, before anything slow is imported or opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path

from tinysegrank.errors import CheckpointError, DatasetError, TinySegRankError, WeightsError, explain_os_error

SETTINGS_FILE, MANIFEST_FILE = "run.toml", "manifest.json"  # of a run folder
LABELS, OVERLAY = ".labels.png", ".overlay.png"  # endings of the results that are written for a photograph
_ENDINGS = {
    f".{kind}" for kind in ("jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp", "ppm", "avif", "heic", "heif")
}


@contextmanager
def _reachable(path: Path, raises: type[TinySegRankError]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise raises(explain_os_error(path, error)) from error


def check_run(path: Path) -> Path:
    """Check that a path is a run folder, and return it.

    Raises:
        CheckpointError: it is not one or out of reach, or its settings are missing.
    """
    with _reachable(path, CheckpointError):
        if (path / SETTINGS_FILE).is_file():
            return path
        if (path / MANIFEST_FILE).is_file():
            raise CheckpointError(f"{path / SETTINGS_FILE}: is missing; repeat the command that made the run")
    raise CheckpointError(f"{path}: is not a run folder; make one with `tinysegrank demo` or `tinysegrank run`")


def check_data(root: Path) -> Path:
    """Check that the folder of a data set holds JPEGImages/, and return it.

    Raises:
        DatasetError: it is missing, doesn't hold JPEGImages/, or cannot be listed; if the right folder is inside, the
            message names it.
    """
    if "JPEGImages" in names_in(root):
        return root
    wrong = "holds no folder JPEGImages; put the photographs there, or give the folder that has it"
    if not root.is_dir():
        wrong = f"is {'a file' if root.exists() else 'missing'}; give the folder that holds JPEGImages"
    for inner in ("VOCdevkit/VOC2012", "VOC2012", "VOC2007"):
        if (root / inner / "JPEGImages").is_dir():
            wrong = f"holds no folder JPEGImages; give {root / inner}"
    raise DatasetError(f"{root}: {wrong}")


def check_label_maps(folder: Path) -> Path:
    """Check that the folder of label maps to score exists, and return it.

    Raises:
        DatasetError: it is missing, out of reach or a file.
    """
    with _reachable(folder, DatasetError):
        if folder.is_dir():
            return folder
    raise DatasetError(f"{folder}: is not a folder; give the one that holds a label PNG for each image of the split")


def check_weight_file(path: Path) -> None:
    """Check that a file of weights can be opened.

    Raises:
        WeightsError: it is missing, out of reach or a folder.
    """
    with _reachable(path, WeightsError), path.open("rb"):
        pass


def names_in(folder: Path) -> set[str]:
    """Return the names of files and folders in a folder; the empty set if it is missing or a file.

    Raises:
        DatasetError: the folder cannot be listed.
    """
    with _reachable(folder, DatasetError), suppress(FileNotFoundError, NotADirectoryError):
        return {path.name for path in folder.iterdir()}
    return set()


def find_photographs(given: Sequence[Path]) -> list[Path]:
    """Return the photographs that files, folders and patterns such as *.jpg stand for, without duplicates.

    A folder stands for the image files in it, by their endings, and a pattern for all files that it matches. Both are
    in alphabetical order, without the label maps and overlays that `predict` writes.

    Raises:
        DatasetError: a folder or pattern holds none, or a path is missing or out of reach.
    """
    found: list[Path] = []
    for path in given:
        with _reachable(path, DatasetError):
            found += _photographs_of(path)
    return list(dict.fromkeys(found))


def _photographs_of(path: Path) -> list[Path]:
    if path.is_dir():
        inside = [file for file in sorted(path.iterdir()) if _is_photograph(file)]
        if not inside:
            raise DatasetError(f"{path}: this folder holds no photographs; give a folder that does, or files")
        return inside
    if not path.exists() and any(sign in str(path) for sign in "*?["):
        matches = [Path(match) for match in sorted(glob(str(path), recursive=True))]  # noqa: PTH207  # takes any path
        inside = [match for match in matches if match.is_file() and not _is_result(match)]
        if not inside:
            raise DatasetError(f"{path}: matches no photograph; check the pattern")
        return inside
    path.stat()  # raises if it is missing
    return [path]


def _is_photograph(path: Path) -> bool:
    return path.suffix.lower() in _ENDINGS and path.is_file() and not _is_result(path)


def _is_result(path: Path) -> bool:
    return path.name.endswith((LABELS, OVERLAY))
