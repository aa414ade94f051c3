"""One HTML file that shows a finished run: results, curves, images, evidence, settings and times."""

from __future__ import annotations

import shlex
from pathlib import Path

from tinysegrank import __version__
from tinysegrank.evidence import tables
from tinysegrank.evidence.claims import VERDICTS
from tinysegrank.evidence.collect import ALL, MADE, read_evidence
from tinysegrank.evidence.piece import Written
from tinysegrank.experiment.images import names
from tinysegrank.experiment.manifest import SETTINGS_FILE, manifest_of
from tinysegrank.experiment.protocol import STAGES
from tinysegrank.experiment.runner import Run, made_by_other_code
from tinysegrank.experiment.settings import LOSSES
from tinysegrank.experiment.stages import report
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.experiment.stages.picked import read_oracle_curve
from tinysegrank.files import reading, write_text
from tinysegrank.outputs import check_file
from tinysegrank.reporting import Column, Document, Picture, Section, Table

NEEDS = ("data", "picked", "evaluation", "report")
_OPENING = b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'  # of every report
_CURVES = {
    "loss_ce.png": "Cross-entropy: the start and the control that continues with it",
    **{f"loss_{loss.replace('+', '_')}.png": f"The loss {loss}, continued from the start" for loss in LOSSES[1:]},
}


def write_html_report(run: Run, file: Path) -> None:
    """Write the report of a finished run.

    Raises:
        CheckpointError: a stage that it shows is not finished, or a file of the run is missing or damaged.
        OutputError: the file cannot be written, or exists and isn't a report. This is checked before any work.
    """
    check_file(file, option="--out", begins=_OPENING)
    run.require(NEEDS, "a report")
    pieces, settings = read_evidence(run), (run.path / SETTINGS_FILE).read_text(encoding="utf-8")
    by_name = report.tables(run, read_counts(run))
    upsampled = (by_name["naive"], by_name["superpixel"], by_name["eq17"])
    caption = "Evenly spread images of val: truth, SegNet's argmax, superpixels, the 1-best, the chosen, the oracle"
    panels = (_picture(run.folder(report.STAGE.name) / "panels.png", caption),) if run.settings.report.panels else ()
    shown = (
        _in_short(run, by_name["table_2"], pieces),
        Section("Table 1: the classes", tables=(by_name["per_class"],)),
        Section("Naive and superpixel upsampling, and Eq. 17, by training loss", tables=upsampled),
        _curves(run),
        Section("Images of val", pictures=panels),
        *_evidence(run, pieces),
        Section("Settings", paragraphs=(f"{SETTINGS_FILE} of the run:",), listing=settings),
        Section("Time and versions", tables=(_seconds_table(run), _versions_table(run))),
    )
    write_text(file, Document(f"tinysegrank: {run.path.resolve().name}", _facts(run), shown).to_html())


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    """Return the facts about the run that head the report: data, classes, trunk, proposals, ranker, version."""
    settings = run.settings
    classes = settings.report.classes
    counted = settings.classes.listed(classes) if classes else "all that are in the truth"
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


def _in_short(run: Run, table: Table, pieces: list[tuple[Written, str]]) -> Section:
    """Return Table 2 and the paper's orderings, each with its verdict, or with its figures if not tested."""
    tested = [one for one, state in pieces if state == MADE and one.name == tables.TEST_OF_ORDERINGS]
    verdict_of = {claim.paper: claim.verdict for one in tested for claim in one.claims}
    verdicts = {pair: verdict_of[tables.ordering(*pair).paper] for pair in report.ORDERINGS if tested}
    if verdicts:
        found = list(verdicts.values())
        counted = ", ".join(f"{verdict} {found.count(verdict)}" for verdict in dict.fromkeys(found))
        judged = f"The paper's {len(found)} orderings, as tested on this run under Evidence: {counted}."
    else:
        judged = (
            f"The paper's {len(report.ORDERINGS)} orderings are set beside the figures of this one run, untested: "
            "chance may have made a difference or hidden one. "
            f"Test them by `{_command(run, tables.TEST_OF_ORDERINGS)}`."
        )
    paragraph = f"Mean corpus IoU on val of each way of labelling, beside the paper's Table 2. {judged}"
    items = tuple(line.removeprefix("- ") for line in report.orderings(run, read_counts(run), verdicts))
    return Section("Results in short, and Table 2", (paragraph,), tables=(table,), items=items)


def _command(run: Run, piece: str) -> str:
    """Return the command that makes a piece of evidence of this run, from any folder."""
    return f"tinysegrank evidence {shlex.quote(str(run.path.resolve()))} {piece}"


def _curves(run: Run) -> Section:
    """Return the section of oracle and training-loss curves."""
    folder = run.folder(report.STAGE.name)
    captions = {"oracle.png": "The oracle among the first 1, 2, ... proposals of each image", **_CURVES}
    pictures = tuple(_picture(folder / name, caption) for name, caption in captions.items())
    held = read_oracle_curve(run)
    rows = zip(held["mean_image_iou"], held["corpus_mean_iou"], strict=True)
    table = Table(
        "The oracle among the first proposals, per cent",
        (Column("proposals", "d"), Column("mean image IoU"), Column("corpus IoU of the picks")),
        tuple((number, 100 * image, 100 * corpus) for number, (image, corpus) in enumerate(rows, start=1)),
    )
    return Section("Curves", pictures=pictures, tables=(table,))


def _evidence(run: Run, pieces: list[tuple[Written, str]]) -> list[Section]:
    if not pieces:
        return [Section("Evidence", (f"None is made yet: make it, piece by piece, by `{_command(run, ALL)}`.",))]
    verdicts = [claim.verdict for written, _ in pieces for claim in written.claims]
    counted = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in VERDICTS)
    opening = f"The paper's claims beside what this run shows, {len(verdicts)} in all: {counted}."
    sections = [Section("Evidence", (opening,))]
    for written, state in pieces:
        earlier = () if state == MADE else (f"{state.capitalize()}; make it again.",)
        title, picture = f"Evidence, {written.title}", _picture(written.figure, written.table.title)
        sections.append(
            Section(title, earlier, written.claims, written.notes, (written.table,), (picture,), below=True)
        )
    return sections


def _picture(file: Path, caption: str) -> Picture:
    """Read a PNG of the run.

    Raises:
        CheckpointError: it is missing or isn't a PNG.
    """
    with reading(file):
        return Picture(file.read_bytes(), caption)


def _seconds_table(run: Run) -> Table:
    """Return a table of the time that each stage took, and the total."""
    rows = [(stage.name, run.stamp(stage.name).seconds) for stage in STAGES if run.stamp(stage.name).complete]
    total = sum(seconds for _, seconds in rows)
    note = "Wall-clock time, that before an interruption left out."
    return Table("Seconds of the stages", (Column("stage"), Column("seconds")), (*rows, ("all", total)), note)


def _versions_table(run: Run) -> Table:
    """Return a table of the software and machines that made the stages."""
    manifest = manifest_of(run)
    rows: list[tuple[str, str]] = []
    for number, maker in enumerate(manifest["made_by"]):
        stages = [name for name, stage in manifest["stages"].items() if stage["made_by"] == number]
        rows += [("stages", ", ".join(stages)), *maker.items()]
    return Table("Software and machine", (Column("what"), Column("which")), tuple(rows), "Of what made the stages.")
