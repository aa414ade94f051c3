"""Label photographs with a finished run, and write what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import NamedTuple

from tinysegrank.errors import DatasetError
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.run_folder import read_run
from tinysegrank.experiment.segmenter import Segmentation, Segmenter
from tinysegrank.files import atomic_write, write_text
from tinysegrank.outputs import check_results
from tinysegrank.voc import write_labels
from tinysegrank.voc.dataset import SMALLEST_SIDE
from tinysegrank.voc.images import opened

_ENDINGS = {
    f".{kind}" for kind in ("jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp", "ppm", "avif", "heic", "heif")
}
_LABELS, _OVERLAY = ".labels.png", ".overlay.png"


class Labelled(NamedTuple):
    """A photograph, its segmentation, and the files that were written for it; `proposals` only if asked for."""

    photograph: Path
    result: Segmentation
    labels: Path
    overlay: Path
    proposals: list[Path]


class _Files(NamedTuple):
    labels: Path
    overlay: Path
    proposals: list[Path]
    scores: Path


def find_photographs(given: Sequence[Path]) -> list[Path]:
    """Expand folders and patterns such as *.jpg to photographs, without duplicates.

    Other paths are kept unchecked. Earlier results are skipped in folders and patterns.

    Raises:
        DatasetError: a folder or pattern holds none.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = [file for file in sorted(path.iterdir()) if _is_photograph(file)]
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
            found.append(path)
    return list(dict.fromkeys(found))


def _is_photograph(path: Path) -> bool:
    return path.suffix.lower() in _ENDINGS and path.is_file() and not _is_result(path)


def _is_result(path: Path) -> bool:
    return path.name.endswith((_LABELS, _OVERLAY))


def label_photographs(
    paths: Sequence[Path],
    run_path: Path,
    out: Path,
    *,
    progress: Progress,
    replace: bool = False,
    proposals: bool = False,
) -> Iterator[Labelled]:
    """Write NAME.labels.png, a palette label map, and NAME.overlay.png for each photograph; yield each once written.

    Args:
        paths: the photographs; folders and patterns stand for those in them.
        run_path: a finished run.
        out: the output folder; made if missing.
        progress: where to report.
        replace: replace files that an earlier call wrote.
        proposals: also write all proposals, best first, to NAME.proposals/00.png, 01.png, ..., and scores.csv there.

    Raises:
        DatasetError: a photograph is missing, too small or damaged.
        OutputError: a file cannot be written, already exists, or would replace a photograph or another output.
        CheckpointError: the run is not finished.

    All of these are raised before the first photograph is labelled, except for damaged pixels.
    """
    paths = find_photographs(paths)
    for path in paths:
        with opened(path) as image:  # its header: pixels are decoded once, below
            if min(image.size) < SMALLEST_SIDE:
                raise DatasetError(
                    f"{path}: a side is below {SMALLEST_SIDE} pixels, one for each cell of the coarse grid"
                )
    asked = read_run(run_path, jobs=1, progress=progress).settings.proposals if proposals else None
    files = [_files(path, out, asked.count + asked.segnet if asked else 0) for path in paths]
    results = [
        (path, file)
        for path, its in zip(paths, files, strict=True)
        for file in (its.labels, its.overlay, *its.proposals, *([its.scores] if proposals else []))
    ]
    check_results(results, option="--out", replace=replace)
    return _label(paths, files, Segmenter(run_path, progress=progress), progress)


def _files(path: Path, out: Path, count: int) -> _Files:
    folder = out / f"{path.stem}.proposals"
    numbered = [folder / f"{m:02d}.png" for m in range(count)]
    return _Files(out / f"{path.stem}{_LABELS}", out / f"{path.stem}{_OVERLAY}", numbered, folder / "scores.csv")


def _label(paths: list[Path], files: list[_Files], segmenter: Segmenter, progress: Progress) -> Iterator[Labelled]:
    if not segmenter.run.settings.trunk.weights:
        progress.say("conv1 to conv5 of this run learned from toy drawings, so expect less of it on photographs")
    with progress.count("photographs", len(paths)) as advance:
        for path, its in zip(paths, files, strict=True):
            result = segmenter(path)
            write_labels(its.labels, result.labels, result.classes)
            with atomic_write(its.overlay) as stream:
                result.overlay().save(stream, "PNG", compress_level=1)  # a large one took 3 s of the 4 otherwise
            for m, file in enumerate(its.proposals):
                write_labels(file, result.proposal(m), result.classes)
            if its.proposals:
                rows = [f"{file.name},{score:.6g}" for file, score in zip(its.proposals, result.scores, strict=True)]
                write_text(its.scores, "\n".join(["file,score", *rows, ""]))
            advance(1)
            yield Labelled(path, result, its.labels, its.overlay, its.proposals)
