"""Label photographs with a finished run, and write what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tinysegrank.errors import DatasetError
from tinysegrank.experiment.progress import Progress
from tinysegrank.experiment.segmenter import Segmentation, Segmenter
from tinysegrank.files import atomic_write, write_text
from tinysegrank.outputs import check_results
from tinysegrank.photographs import LABELS, OVERLAY, find_photographs
from tinysegrank.voc import write_labels
from tinysegrank.voc.dataset import SMALLEST_SIDE
from tinysegrank.voc.images import opened


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

    @property
    def all(self) -> list[Path]:
        return [self.labels, self.overlay, *self.proposals, *([self.scores] if self.proposals else [])]


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
    """Write NAME.labels.png, a palette label map, and NAME.overlay.png for each photograph; yield each once written.

    Args:
        paths: the photographs; folders and patterns stand for those in them.
        run_path: a finished run.
        out: the output folder; made if missing.
        progress: where to report.
        replace: replace files that an earlier call wrote.
        skip: write only files that do not exist yet, and skip the photographs that have all of theirs.
        proposals: also write all proposals, best first, to NAME.proposals/00.png, 01.png, ..., and scores.csv there.

    Raises:
        DatasetError: a photograph is missing, too small or damaged.
        OutputError: a file cannot be written, already exists, or would replace a photograph or another output.
        CheckpointError: the run is not finished.
        ConfigError: both `replace` and `skip` are set.

    All of these are raised before the first photograph is labelled, except for damaged pixels.
    """
    paths = find_photographs(paths)
    segmenter = Segmenter(run_path, progress=progress)
    count = segmenter.run.settings.proposals.count if proposals else 0
    for path in paths:
        with opened(path) as image:  # its header: pixels are decoded once, below
            if min(image.size) < SMALLEST_SIDE:
                raise DatasetError(
                    f"{path}: a side is below {SMALLEST_SIDE} pixels, one for each cell of the coarse grid"
                )
    files = [_files(path, out, count) for path in paths]
    results = [(path, file) for path, its in zip(paths, files, strict=True) for file in its.all]
    missing = check_results(results, option="--out", replace=replace, skip=skip)
    todo = [(path, its) for path, its in zip(paths, files, strict=True) if not missing.isdisjoint(its.all)]
    if skipped := len(paths) - len(todo):
        progress.say(f"{skipped} of {len(paths)} photographs have all their files and are skipped")
    return _label(todo, missing, segmenter, progress)


def _files(path: Path, out: Path, count: int) -> _Files:
    folder = out / f"{path.stem}.proposals"
    numbered = [folder / f"{m:02d}.png" for m in range(count)]
    return _Files(out / f"{path.stem}{LABELS}", out / f"{path.stem}{OVERLAY}", numbered, folder / "scores.csv")


def _label(
    todo: list[tuple[Path, _Files]], missing: set[Path], segmenter: Segmenter, progress: Progress
) -> Iterator[Labelled]:
    if not segmenter.run.settings.trunk.weights:
        progress.say("conv1 to conv5 of this run learned from toy drawings, so expect less of it on photographs")
    with progress.count("photographs", len(todo)) as advance:
        for path, its in todo:
            result = segmenter(path)
            for file in its.all:
                if file in missing:
                    _write(file, its, result)
            advance(1)
            yield Labelled(path, result, its.labels, its.overlay, its.proposals)


def _write(file: Path, its: _Files, result: Segmentation) -> None:
    if file == its.labels:
        write_labels(file, result.labels, result.classes)
    elif file == its.overlay:
        with atomic_write(file) as stream:
            result.overlay().save(stream, "PNG", compress_level=1)  # a large one took 3 s of the 4 otherwise
    elif file == its.scores:
        rows = [f"{one.name},{score:.6g}" for one, score in zip(its.proposals, result.scores, strict=True)]
        write_text(file, "\n".join(["file,score", *rows, ""]))
    else:
        write_labels(file, result.proposal(its.proposals.index(file)), result.classes)
