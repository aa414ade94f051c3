"""One HTML file that shows a finished run: its results, curves, images, settings and times, and sections of others."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinysegrank import __version__
from tinysegrank.errors import CheckpointError, ShapeError
from tinysegrank.experiment.images import names
from tinysegrank.experiment.protocol import STAGES
from tinysegrank.experiment.run_folder import SETTINGS_FILE
from tinysegrank.experiment.runner import Run, made_by_other_code
from tinysegrank.experiment.settings import LOSSES
from tinysegrank.experiment.stages import report
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.experiment.stages.picked import read_oracle_curve
from tinysegrank.files import write_text
from tinysegrank.metrics import Confusion
from tinysegrank.outputs import check_file
from tinysegrank.reporting import Column, Document, Picture, Section, Table
from tinysegrank.voc import CLASS_NAMES

NEEDS = ("data", "picked", "evaluation", "report")
LIBRARIES = ("numpy", "scipy", "numba", "scikit-image", "scikit-learn", "pillow", "matplotlib", "jinja2", "torch")
_OPENING = b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'  # of every report
_CURVES = {
    "loss_ce.png": "Cross-entropy: the start and the control that continues with it",
    **{f"loss_{loss.replace('+', '_')}.png": f"The loss {loss}, continued from the start" for loss in LOSSES[1:]},
}


def check_report(run: Run, file: Path) -> None:
    """Check that a report can be made and written, before any work.

    Raises:
        CheckpointError: a stage that it shows is not finished, or a file of the run is missing or damaged.
        OutputError: the file cannot be written, or exists and isn't a report.
    """
    check_file(file, option="--out", begins=_OPENING)
    run.require(NEEDS, "a report")


def write_report(
    run: Run, file: Path, sections: Sequence[Section], *, verdicts: Mapping[tuple[str, str], str], test: str
) -> None:
    """Write the report of a finished run.

    Args:
        run: the run.
        file: the HTML file.
        sections: shown between the images and the settings.
        verdicts: verdict on each of the paper's orderings (better, worse) that was tested.
        test: the command that tests them.
    """
    counts, settings = read_counts(run), (run.path / SETTINGS_FILE).read_text(encoding="utf-8")
    tables = report.tables(run, counts)
    upsampled = (tables["naive"], tables["superpixel"], tables["eq17"])
    caption = "Evenly spread images of val: truth, SegNet's argmax, superpixels, the 1-best, the chosen, the oracle"
    panels = (read_picture(run.folder("report") / "panels.png", caption),) if run.settings.report.panels else ()
    shown = (
        _in_short(run, counts, tables["table_2"], verdicts, test),
        Section("Table 1: the classes", tables=(tables["per_class"],)),
        Section("Naive and superpixel upsampling, and Eq. 17, by training loss", tables=upsampled),
        _curves(run),
        Section("Images of val", pictures=panels),
        *sections,
        Section("Settings", paragraphs=(f"{SETTINGS_FILE} of the run:",), listing=settings),
        Section("Time and versions", tables=(_seconds_table(run), _versions_table())),
    )
    write_text(file, Document(f"tinysegrank: {run.path.resolve().name}", _facts(run), shown).to_html())


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    """Return the facts about the run that head the report: data, classes, trunk, proposals, ranker, version."""
    settings = run.settings
    classes = settings.report.classes
    counted = ", ".join(CLASS_NAMES[index] for index in classes) if classes else "all that are in the truth"
    train, val = (f"{len(names(run, w)):,} of {getattr(settings.data, w)}" for w in ("train", "val"))
    return (
        ("data", f"{Path(settings.data.voc).name}: images to train on {train}, to test on {val}"),
        ("classes in the means", counted),
        ("trunk", f"{settings.trunk.preset}, {Path(settings.trunk.weights).name or 'pre-trained in the run'}"),
        ("proposals", f"up to {settings.proposals.count} an image, by {settings.proposals.engine}"),
        ("ranked by", f"SegNet trained with {settings.ranking.loss}; {settings.folds} folds, seed {settings.seed}"),
        ("written by", f"tinysegrank {__version__}"),
        *([("made by other code", ", ".join(other))] if (other := made_by_other_code(run, STAGES)) else []),
    )  # fmt: skip


def _in_short(
    run: Run, counts: dict[str, Confusion], table: Table, verdicts: Mapping[tuple[str, str], str], test: str
) -> Section:
    """Return Table 2 and the paper's orderings, each with its verdict, or with its figures if not tested."""
    if verdicts:
        found = list(verdicts.values())
        counted = ", ".join(f"{verdict} {found.count(verdict)}" for verdict in dict.fromkeys(found))
        judged = f"The paper's {len(found)} orderings, as tested on this run under Evidence: {counted}."
    else:
        judged = (
            f"The paper's {len(report.ORDERINGS)} orderings are set beside the figures of this one run, untested: "
            f"chance may have made a difference or hidden one. Test them by `{test}`."
        )
    paragraph = f"Mean corpus IoU on val of each way of labelling, beside the paper's Table 2. {judged}"
    items = tuple(line.removeprefix("- ") for line in report.orderings(run, counts, verdicts))
    return Section("Results in short, and Table 2", (paragraph,), tables=(table,), items=items)


def _curves(run: Run) -> Section:
    """Return the oracle's curve and the losses of the trainings."""
    folder = run.folder("report")
    captions = {"oracle.png": "The oracle among the first 1, 2, ... proposals of each image", **_CURVES}
    pictures = tuple(read_picture(folder / name, caption) for name, caption in captions.items())
    held = read_oracle_curve(run)
    rows = zip(held["mean_image_iou"], held["corpus_mean_iou"], strict=True)
    table = Table(
        "The oracle among the first proposals, per cent",
        (Column("proposals", "d"), Column("mean image IoU"), Column("corpus IoU of the picks")),
        tuple((number, 100 * image, 100 * corpus) for number, (image, corpus) in enumerate(rows, start=1)),
    )
    return Section("Curves", pictures=pictures, tables=(table,))


def read_picture(file: Path, caption: str) -> Picture:
    """Read a PNG of the run.

    Raises:
        CheckpointError: it is missing or isn't a PNG.
    """
    try:
        return Picture(file.read_bytes(), caption)
    except (OSError, ShapeError) as error:
        raise CheckpointError(f"{file}: cannot be read as a PNG ({error}); make it again") from error


def _seconds_table(run: Run) -> Table:
    """Return a table of the time that each stage took, and the total."""
    rows = [(stage.name, run.stamp(stage.name).seconds) for stage in STAGES if run.stamp(stage.name).complete]
    total = sum(seconds for _, seconds in rows)
    note = "Wall-clock time, that before an interruption left out."
    return Table("Seconds of the stages", (Column("stage"), Column("seconds")), (*rows, ("all", total)), note)


def _versions_table() -> Table:
    """Return a table of the versions of the software that wrote this report."""
    rows = [("tinysegrank", __version__), ("Python", f"{platform.python_version()} on {platform.system()}")]
    for library in LIBRARIES:
        try:
            rows.append((library, importlib.metadata.version(library)))
        except importlib.metadata.PackageNotFoundError:
            rows.append((library, "not installed"))
    return Table("Versions", (Column("what"), Column("version")), tuple(rows), "Of what wrote this report.")
