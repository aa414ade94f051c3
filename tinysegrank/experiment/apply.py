"""Label photographs with a finished run, and write the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tinysegrank.errors import DatasetError
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.segmenter import Segmentation, Segmenter
from tinysegrank.files import atomic_write, write_text
from tinysegrank.inputs import LABELS, OVERLAY, find_photographs
from tinysegrank.outputs import check_results
from tinysegrank.voc import write_labels
from tinysegrank.voc.dataset import SMALLEST_SIDE
from tinysegrank.voc.images import opened


class Labelled(NamedTuple):
    """A photograph, its segmentation, and the files that hold it; `proposals` is empty unless they are written."""

    photograph: Path
    result: Segmentation
    labels: Path
    overlay: Path
    proposals: list[Path]


def label_photographs(
    paths: Sequence[Path],
    run_path: Path,
    out: Path,
    *,
    progress: Progress,
    replace: bool = False,
    skip: bool = False,
    proposals: bool = False,
) -> Iterator[Labelled]:
    """Label photographs with a finished run; yield each photograph's results once its files are written.

    The files are NAME.labels.png, a palette label map, and NAME.overlay.png, the classes' colours over the photograph.
    Inputs and outputs are checked before the first photograph is labelled; only damaged pixels are found later.

    Args:
        paths: photographs, folders of photographs, and patterns such as *.jpg.
        run_path: the run folder.
        out: the output folder; made if missing.
        replace: replace files that exist.
        skip: write only files that don't exist yet, and skip photographs that have all of theirs.
        proposals: also write all proposals, best first, as NAME.proposals/00.png, 01.png, ..., and scores.csv there.

    Raises:
        DatasetError: a photograph is missing, too small or damaged.
        OutputError: a file cannot be written, already exists, or would replace a photograph or another output.
        CheckpointError, WeightsError, BackendError: see `Segmenter`.
        ConfigError: both `replace` and `skip` are set, the run's proposals were made elsewhere, or its settings cannot
            be read.
    """
    paths = find_photographs(paths)
    segmenter = Segmenter(run_path, progress=progress)
    count = segmenter.run.settings.proposals.count if proposals else 0
    for path in paths:
        with opened(path) as image:  # reads the header alone; pixels are decoded once, when they are labelled
            if min(image.size) < SMALLEST_SIDE:
                raise DatasetError(
                    f"{path}: a side is below {SMALLEST_SIDE} pixels, one for each cell of the coarse grid"
                )
    files = [_files(path, out, count) for path in paths]
    results = [(path, file) for path, own in zip(paths, files, strict=True) for file in own]
    missing = check_results(results, option="--out", replace=replace, skip=skip)
    todo = [(path, own) for path, own in zip(paths, files, strict=True) if not missing.isdisjoint(own)]
    if skipped := len(paths) - len(todo):
        progress.say(f"{skipped} of {len(paths)} photographs have all their files and are skipped")
    return _label(todo, missing, segmenter, progress)


def _files(path: Path, out: Path, count: int) -> list[Path]:
    """Return the files of a photograph's labels and overlay, and if `count` > 0, of its proposals and their scores."""
    folder = out / f"{path.stem}.proposals"
    proposals = [*(folder / f"{m:02d}.png" for m in range(count)), folder / "scores.csv"] if count else []
    return [out / f"{path.stem}{LABELS}", out / f"{path.stem}{OVERLAY}", *proposals]


def _label(
    todo: list[tuple[Path, list[Path]]], missing: set[Path], segmenter: Segmenter, progress: Progress
) -> Iterator[Labelled]:
    if not segmenter.run.settings.trunk.weights:
        progress.say("conv1 to conv5 of this run learned from toy drawings, so expect less of it on photographs")
    with progress.count("photographs", len(todo)) as advance:
        for path, (labels, overlay, *more) in todo:
            result, proposals = segmenter(path), more[:-1]
            for file in (labels, overlay, *more):
                if file in missing:
                    _write(file, proposals, result)
            advance(1)
            yield Labelled(path, result, labels, overlay, proposals)


def _write(file: Path, proposals: list[Path], result: Segmentation) -> None:
    if file in proposals:
        write_labels(file, result.proposal(proposals.index(file)), result.classes)
    elif file.suffix == ".csv":
        rows = [f"{one.name},{score:.6g}" for one, score in zip(proposals, result.scores, strict=True)]
        write_text(file, "\n".join(["file,score", *rows, ""]))
    elif file.name.endswith(OVERLAY):
        with atomic_write(file) as stream:
            result.overlay().save(stream, "PNG", compress_level=1)  # a large one took 3 s of the 4 otherwise
    else:
        write_labels(file, result.labels, result.classes)
