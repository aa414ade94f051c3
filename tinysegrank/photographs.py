"""Find the photographs that a command is given, before anything slow is imported or opened."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from tinysegrank.errors import DatasetError, explain_os_error

LABELS, OVERLAY = ".labels.png", ".overlay.png"  # endings of the results that are written for a photograph
_ENDINGS = {
    f".{kind}" for kind in ("jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp", "ppm", "avif", "heic", "heif")
}


def find_photographs(given: Sequence[Path]) -> list[Path]:
    """Return the photographs that files, folders and patterns such as *.jpg stand for, without duplicates.

    A folder stands for the image files in it, by their endings, and a pattern for all files that it matches. Both are
    in alphabetical order, without the label maps and overlays that `predict` writes.

    Raises:
        DatasetError: a folder or pattern holds none, or a file is missing.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in _ENDINGS]
            inside = [file for file in files if file.is_file() and not _is_result(file)]
            if not inside:
                raise DatasetError(f"{path}: this folder holds no photographs; give a folder that does, or files")
            found += inside
        elif not path.exists() and any(sign in str(path) for sign in "*?["):
            matches = [Path(match) for match in sorted(glob(str(path), recursive=True))]  # noqa: PTH207  # takes any path
            inside = [match for match in matches if match.is_file() and not _is_result(match)]
            if not inside:
                raise DatasetError(f"{path}: matches no photograph; check the pattern")
            found += inside
        else:
            try:
                path.stat()
            except OSError as error:
                raise DatasetError(explain_os_error(path, error)) from error
            found.append(path)
    return list(dict.fromkeys(found))


def _is_result(path: Path) -> bool:
    return path.name.endswith((LABELS, OVERLAY))
