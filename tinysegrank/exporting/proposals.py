"""A run's proposals as a folder for other programs, and a table of their scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinysegrank.errors import ConfigError
from tinysegrank.experiment.images import SPLITS, names, open_split
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import described, proposals, ranker
from tinysegrank.files import atomic_write, write_text
from tinysegrank.outputs import check_results
from tinysegrank.proposals.store import SCORES, SEGMENTS
from tinysegrank.reporting import Cell, Column, Table
from tinysegrank.stamps import check_file

COLUMNS = ("image", "proposal", "file", "model_score", "ranker_score", "rank", "image_iou")


def export_proposals(run: Run, folder: Path, *, split: str = "val", replace: bool = False, skip: bool = False) -> Path:
    """Copy the proposals of a split to FOLDER/NAME/00.png, 01.png, ..., and write FOLDER/SPLIT.csv; return its path.

    Another run can read the folder, by its setting `proposals.folder`. The CSV file has a row for each proposal: the
    score by its model, the score by the ranker, the rank by the ranker (SegNet+SVM picks rank 1), and the IoU. The last
    three are empty if the run has no ranker yet or the split has no masks. For `replace`, `skip` and their errors see
    `export_labels`.

    Raises:
        ConfigError: the split is neither "val" nor "train".
        CheckpointError: the stage of the proposals is not finished, or a file has changed.
    """
    if split not in SPLITS:
        raise ConfigError(f'split="{split}": choose one of {", ".join(SPLITS)}')
    run.require([proposals.STAGE.name], "an export of the proposals")
    store, images, table = proposals.store(run, split), names(run, split), folder / f"{split}.csv"
    paths = {name: store.paths(name) for name in images}
    extra = [path.with_name(other) for path in (p[0] for p in paths.values()) for other in (SCORES, SEGMENTS)]
    files = [*(path for some in paths.values() for path in some), *(path for path in extra if path.is_file())]
    results = [(path, folder / path.parent.name / path.name) for path in files]
    missing = check_results([*results, (run.path, table)], option="--out", replace=replace, skip=skip)
    rows = _rows(run, split, {name: (some, store.read_scores(name)) for name, some in paths.items()})
    with run.progress.count("files", len(results)) as advance:
        for source, result in results:
            if result in missing:
                check_file(source)
                with atomic_write(result) as stream:
                    stream.write(source.read_bytes())
            advance(1)
    if table in missing:
        write_text(table, Table(table.name, tuple(map(Column, COLUMNS)), rows).to_csv())
    return table


def _rows(run: Run, split: str, held: dict[str, tuple[list[Path], np.ndarray]]) -> tuple[tuple[Cell, ...], ...]:
    """Return the rows of the table, with NaN or None for unknown numbers; `held` has each image's files and scores."""
    ranked, rows = _ranked(run, split), []
    for name, (paths, scores) in held.items():
        theirs, quality = ranked.get(name, (np.full(len(paths), np.nan),) * 2)
        ranks = np.argsort(np.argsort(-theirs, kind="stable"), kind="stable") + 1
        for m, path in enumerate(paths):
            rank = int(ranks[m]) if np.isfinite(theirs[m]) else None
            rows.append((name, m, f"{name}/{path.name}", float(scores[m]), float(theirs[m]), rank, float(quality[m])))
    return tuple(rows)


def _ranked(run: Run, split: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the ranker's scores and the IoU of each image's proposals, by image name; {} if the run has none."""
    needed = (described.STAGE.name, ranker.STAGE.name)
    if run.unfinished(needed) or open_split(run.settings, split).masks is None:
        return {}
    run.require(needed, "the ranker's scores")
    table = described.load_described(run, split).table
    scores = ranker.load_ranker(run).scores(table)
    ends = np.cumsum(np.bincount(table.groups, minlength=len(table.images)))[:-1]  # rows are in the order of images
    return dict(zip(table.images, zip(np.split(scores, ends), np.split(table.quality, ends), strict=True), strict=True))
