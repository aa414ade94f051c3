"""One HTML file that shows a finished run: its results, curves, pictures and evidence, settings and times."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from pathlib import Path

from tinysegrank import __version__
from tinysegrank.errors import CheckpointError, ShapeError
from tinysegrank.evidence import table_2
from tinysegrank.evidence.claims import VERDICTS
from tinysegrank.evidence.collect import ALL, MADE, read_evidence
from tinysegrank.evidence.piece import Written
from tinysegrank.experiment.images import names
from tinysegrank.experiment.protocol import STAGES
from tinysegrank.experiment.runner import SETTINGS_FILE, Run, made_by_other_code
from tinysegrank.experiment.settings import LOSSES
from tinysegrank.experiment.stages import report
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.experiment.stages.picked import read_oracle_curve
from tinysegrank.files import write_text
from tinysegrank.metrics import Confusion
from tinysegrank.outputs import check_file
from tinysegrank.reporting import Column, Document, Picture, Section, Statement, Table
from tinysegrank.voc import CLASS_NAMES

NEEDS = ("data", "picked", "evaluation", "report")
LIBRARIES = ("numpy", "scipy", "numba", "scikit-image", "scikit-learn", "pillow", "matplotlib", "jinja2", "torch")
_OPENING = b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'  # of every report
Evidence = list[tuple[Written, str]]  # each piece, and how it was made
_CURVES = {
    "loss_ce.png": "Cross-entropy: the start and the control that goes on with it",
    **{f"loss_{loss.replace('+', '_')}.png": f"The loss {loss}, going on from the start" for loss in LOSSES[1:]},
}


def write_html_report(run: Run, file: Path) -> None:
    """Write the report of a finished run.

    Raises:
        CheckpointError: a stage that it shows is not finished, or a file of the run is missing or damaged.
        OutputError: the file cannot be written, or is there and is not a report; before any work.
    """
    check_file(file, option="--out", begins=_OPENING)
    run.require(NEEDS, "a report")
    write_text(file, document(run).to_html())


def document(run: Run) -> Document:
    """Everything that the report shows."""
    counts = read_counts(run)
    tables, evidence = report.tables(run, counts), read_evidence(run)
    sections = (
        in_short(run, counts, tables["table_2"], evidence),
        Section("Table 1: the classes", tables=(tables["per_class"],)),
        Section(
            "Naive and superpixel upsampling, and Eq. 17, by training loss",
            tables=(tables["naive"], tables["superpixel"], tables["eq17"]),
        ),
        curves(run),
        Section("Images of val", pictures=panels(run)),
        *evidence_sections(run, evidence),
        Section("Settings", paragraphs=(f"{SETTINGS_FILE} of the run:",), listing=settings_text(run)),
        Section("Time and versions", tables=(seconds_table(run), versions_table())),
    )
    return Document(f"tinysegrank: {run.path.resolve().name}", facts(run), sections)


def facts(run: Run) -> tuple[tuple[str, str], ...]:
    """What the run is of."""
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


def in_short(run: Run, counts: dict[str, Confusion], table: Table, evidence: Evidence) -> Section:
    """Table 2 and the paper's orderings, each with the verdict of the evidence, or without one where there is none."""
    verdicts = {
        claim.paper: claim.verdict
        for written, state in evidence
        if state == MADE and written.name == table_2.PIECE.name
        for claim in written.claims
    }
    ordered = report.ordered_means(run, counts)
    if verdicts:
        said = [verdicts[table_2.ordering(better, worse).paper] for (better, _), (worse, _) in ordered]
        found = ", ".join(f"{verdict} {said.count(verdict)}" for verdict in dict.fromkeys(said))
        judged = f"The paper's {len(said)} orderings, as tested on this run under Evidence: {found}."
    else:
        said = [
            "higher here" if high > low else "lower here" if high < low else "not ordered here"
            for (_, high), (_, low) in ordered
        ]
        judged = (
            f"The paper's {len(said)} orderings are set beside the figures of this one run, untested: chance may have "
            f"made a difference or hidden one. Test them by `{command(run, table_2.PIECE.name)}`."
        )
    items = tuple(
        f"{better} ({high:.1f}) over {worse} ({low:.1f}): {verdict}"
        for ((better, high), (worse, low)), verdict in zip(ordered, said, strict=True)
    )
    paragraph = f"Mean corpus IoU on val of each way of labelling, beside the paper's Table 2. {judged}"
    return Section("Results in short, and Table 2", (paragraph,), tables=(table,), items=items)


def command(run: Run, piece: str) -> str:
    """The command that makes a piece of evidence of this run, from any folder."""
    return f"tinysegrank evidence {shlex.quote(str(run.path.resolve()))} {piece}"


def curves(run: Run) -> Section:
    """The oracle's curve, and the losses of the trainings."""
    folder = run.folder("report")
    captions = {"oracle.png": "The oracle among the first 1, 2, ... proposals of each image", **_CURVES}
    pictures = tuple(picture(folder / name, caption) for name, caption in captions.items())
    held = read_oracle_curve(run)
    rows = zip(held["mean_image_iou"], held["corpus_mean_iou"], strict=True)
    table = Table(
        "The oracle among the first proposals, per cent",
        (Column("proposals", "d"), Column("mean image IoU"), Column("corpus IoU of the picks")),
        tuple((number, 100 * image, 100 * corpus) for number, (image, corpus) in enumerate(rows, start=1)),
    )
    return Section("Curves", pictures=pictures, tables=(table,))


def panels(run: Run) -> tuple[Picture, ...]:
    """The panels of the run, if it drew any."""
    if not run.settings.report.panels:
        return ()
    caption = "Evenly spread images of val: truth, SegNet's argmax, superpixels, the 1-best, the chosen, the oracle"
    return (picture(run.folder("report") / "panels.png", caption),)


def evidence_sections(run: Run, pieces: Evidence) -> list[Section]:
    """Each piece of evidence that is made."""
    if not pieces:
        how = f"None is made yet: make it, piece by piece, by `{command(run, ALL)}`."
        return [Section("Evidence", (how,))]
    verdicts = [claim.verdict for written, _ in pieces for claim in written.claims]
    found = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in VERDICTS)
    opening = f"The paper's claims beside what this run shows, {len(verdicts)} in all: {found}."
    return [Section("Evidence", (opening,)), *(evidence_section(written, state) for written, state in pieces)]


def evidence_section(written: Written, state: str) -> Section:
    """Return one piece of evidence."""
    old = () if state == MADE else (f"{state.capitalize()}; make it again.",)
    return Section(
        f"Evidence, {written.title}",
        old,
        statements=tuple(Statement(*claim) for claim in written.claims),
        pictures=(picture(written.figure, written.table.title),),
        tables=(written.table,),
        items=written.notes,
        below=True,
    )


def picture(file: Path, caption: str) -> Picture:
    """A PNG of the run.

    Raises:
        CheckpointError: it is missing or is none.
    """
    try:
        return Picture(file.read_bytes(), caption)
    except (OSError, ShapeError) as error:
        raise CheckpointError(f"{file}: cannot be read as a PNG ({error}); make it again") from error


def settings_text(run: Run) -> str:
    """The settings as they are on disk."""
    return (run.path / SETTINGS_FILE).read_text(encoding="utf-8")


def seconds_table(run: Run) -> Table:
    """How long the stages took."""
    stages = sorted(path.parent.name for path in run.path.glob("*/stamp.json"))
    seconds = {stage: run.stamp(stage).seconds for stage in stages}
    order = sorted(stages, key=lambda stage: (run.folder(stage) / "stamp.json").stat().st_mtime_ns)
    rows = [(stage, seconds[stage]) for stage in order]
    total = sum(seconds.values())
    note = "Wall-clock time, that before an interruption left out."
    return Table("Seconds of the stages", (Column("stage"), Column("seconds")), (*rows, ("all", total)), note)


def versions_table() -> Table:
    """The versions of what wrote this report."""
    rows = [("tinysegrank", __version__), ("Python", f"{platform.python_version()} on {platform.system()}")]
    for library in LIBRARIES:
        try:
            rows.append((library, importlib.metadata.version(library)))
        except importlib.metadata.PackageNotFoundError:
            rows.append((library, "not installed"))
    return Table("Versions", (Column("what"), Column("version")), tuple(rows), "Of what wrote this report.")
