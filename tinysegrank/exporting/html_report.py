"""One HTML file that shows a finished run: results, curves, images, evidence, settings and times."""

from __future__ import annotations

import shlex
from pathlib import Path

from tinysegrank import __version__
from tinysegrank.evidence import tables
from tinysegrank.evidence.claims import UNCLEAR, VERDICTS
from tinysegrank.evidence.collect import ALL, EARLIER, MADE, read_evidence
from tinysegrank.evidence.piece import Written
from tinysegrank.experiment.images import names
from tinysegrank.experiment.manifest import manifest_of
from tinysegrank.experiment.protocol import STAGES
from tinysegrank.experiment.runner import Run, made_by_other_code
from tinysegrank.experiment.settings import LOSSES
from tinysegrank.experiment.stages import data, evaluation, picked, report
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.experiment.stages.picked import read_oracle_curve
from tinysegrank.exporting import val_images
from tinysegrank.files import reading, write_text
from tinysegrank.inputs import SETTINGS_FILE
from tinysegrank.outputs import check_file
from tinysegrank.reporting import SIDE, Claim, Column, Document, Picture, Section, Table

NEEDS = (data.STAGE, picked.STAGE, evaluation.STAGE, report.STAGE)
_OPENING = b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'  # of every report


def write_html_report(run: Run, file: Path, *, images: int = 500) -> None:
    """Write the HTML report of a finished run.

    It has a browser of at most `images` images of val, evenly spread; 0 leaves the browser out.

    Raises:
        CheckpointError: a stage that it shows is not finished, or a file of the run is missing or damaged.
        DatasetError: an image of val is missing or damaged.
        OutputError: the file cannot be written, or exists and isn't a report. This is checked before any work.
    """
    check_file(file, option="--out", begins=_OPENING)
    run.require([stage.name for stage in NEEDS], "a report")
    if images:
        run.require([stage.name for stage in val_images.NEEDS], "a report with images, which --images 0 leaves out,")
    run.require([stage.name for stage in STAGES if run.folder(stage.name).is_dir()], "a report")  # all begun
    pieces = read_evidence(run)
    verdicts, settings = _verdicts(pieces), (run.path / SETTINGS_FILE).read_text(encoding="utf-8")
    by_name = report.tables(run, read_counts(run))
    upsampled = (by_name["naive"], by_name["superpixel"], by_name["eq17"])
    shown = (
        _in_short(run, by_name["table_2"], verdicts),
        Section("Table 1: the classes", tables=(by_name["per_class"],)),
        Section("Naive and superpixel upsampling, and Eq. 17, by training loss", tables=upsampled),
        _curves(run),
        *([_images(run, images)] if images else []),
        *_evidence(run, pieces, verdicts),
        Section("Settings", paragraphs=(f"{SETTINGS_FILE} of the run:",), listing=settings),
        Section("Time and versions", tables=(_seconds_table(run), _versions_table(run))),
    )
    write_text(file, Document(f"tinysegrank: {run.path.resolve().name}", _facts(run), shown).to_html())


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    """Return (name, value) pairs that head the report: data, classes, trunk, proposals, ranker, version.

    If other code made some stages, a last pair names them.
    """
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


def _verdicts(pieces: list[tuple[Written, str]]) -> dict[str, str]:
    """Return the verdict on each sentence of the paper, by the sentence; if pieces differ, it is too close to tell.

    `pieces` are the pieces of evidence with their states; those made from earlier results don't count.
    """
    found: dict[str, str] = {}
    for claim in (claim for written, state in pieces if state != EARLIER for claim in written.claims):
        found[claim.paper] = claim.verdict if found.get(claim.paper, claim.verdict) == claim.verdict else UNCLEAR
    return found


def _in_short(run: Run, table: Table, verdict_of: dict[str, str]) -> Section:
    """Return the section with Table 2 and the paper's orderings: the figures of each, and its verdict if tested."""
    sentences = {pair: tables.ordering(*pair).paper for pair in report.ORDERINGS}
    verdicts = {pair: verdict_of[paper] for pair, paper in sentences.items() if paper in verdict_of}
    if verdicts:
        found = list(verdicts.values())
        counted = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in dict.fromkeys(found))
        judged = f"{len(found)} of the paper's {len(sentences)} orderings are tested under Evidence: {counted}."
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
    """Return the command that makes a piece of evidence of this run; it works from any folder."""
    return f"tinysegrank evidence {shlex.quote(str(run.path.resolve()))} {piece}"


def _curves(run: Run) -> Section:
    """Return the section of oracle and training-loss curves."""
    folder = run.folder(report.STAGE.name)
    captions = {
        "oracle.png": "The oracle among the first 1, 2, ... proposals of each image",
        "loss_ce.png": "Cross-entropy: the start and the control that continues with it",
        **{f"loss_{loss.replace('+', '_')}.png": f"The loss {loss}, continued from the start" for loss in LOSSES[1:]},
    }
    pictures = tuple(_picture(folder / name, caption) for name, caption in captions.items())
    held = read_oracle_curve(run)
    rows = zip(held["mean_image_iou"], held["corpus_mean_iou"], strict=True)
    table = Table(
        "The oracle among the first proposals, per cent",
        (Column("proposals", "d"), Column("mean image IoU"), Column("corpus IoU of the picks")),
        tuple((number, 100 * image, 100 * corpus) for number, (image, corpus) in enumerate(rows, start=1)),
    )
    return Section("Curves", pictures=pictures, tables=(table,))


def _images(run: Run, most: int) -> Section:
    browser = val_images.browse_val(run, most)
    megabytes = len(browser.to_json()) / 1e6
    maps = sum(len(image["maps"]) for image in browser.images)
    text = (
        f"{len(browser.images):,} of {len(names(run, 'val')):,} images of val, with {maps:,} label maps: the truth, "
        "SegNet's coarse argmax, its labelling of superpixels, and every proposal with the methods that chose it. IoU "
        "is the image's, in per cent. The SVM picks the largest score; Eq. 17 is a distance, so the smallest is best. "
        f"All are stored at up to {SIDE} pixels a side, which takes {megabytes:.1f} MB of this file."
    )
    return Section("Images of val", (text,), browser=browser)


def _evidence(run: Run, pieces: list[tuple[Written, str]], verdicts: dict[str, str]) -> list[Section]:
    if not pieces:
        return [Section("Evidence", (f"None is made yet: make it, piece by piece, by `{_command(run, ALL)}`.",))]
    found = list(verdicts.values())
    counted = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in VERDICTS)
    opening = (
        f"The paper's claims beside what this run shows, {len(found)} in all: {counted}. A claim that several pieces "
        "test has one verdict; where they differ, it is too close to tell."
    )
    sections = [Section("Evidence", (opening,))]
    for written, state in pieces:
        title = f"Evidence, {written.title}"
        if state == EARLIER:
            again = f"{state.capitalize()}, so it is left out; make it again by `{_command(run, written.name)}`."
            sections.append(Section(title, (again,), below=True))
            continue
        earlier = () if state == MADE else (f"{state.capitalize()}; make it again by `{_command(run, written.name)}`.",)
        claims, picture = [], _picture(written.figure, written.table.title)
        for claim in written.claims:
            alone = f" By this piece alone: {claim.verdict}." if claim.verdict != verdicts[claim.paper] else ""
            claims.append(Claim(claim.paper, claim.here + alone, verdicts[claim.paper]))
        sections.append(Section(title, earlier, tuple(claims), written.notes, (written.table,), (picture,), below=True))
    return sections


def _picture(file: Path, caption: str) -> Picture:
    """Read a PNG of the run.

    Raises:
        CheckpointError: it is missing or isn't a PNG.
    """
    with reading(file):
        return Picture(file.read_bytes(), caption)


def _seconds_table(run: Run) -> Table:
    """Return a table of the seconds that each finished stage took, and their sum."""
    rows = [(stage.name, run.stamp(stage.name).seconds) for stage in STAGES if run.stamp(stage.name).complete]
    total = sum(seconds for _, seconds in rows)
    note = "Wall-clock time, without the time before an interruption."
    return Table("Seconds of the stages", (Column("stage"), Column("seconds")), (*rows, ("all", total)), note)


def _versions_table(run: Run) -> Table:
    """Return a table of the software and machines that made the run's stages."""
    manifest = manifest_of(run)
    rows: list[tuple[str, str]] = []
    for number, maker in enumerate(manifest["made_by"]):
        stages = [name for name, stage in manifest["stages"].items() if stage["made_by"] == number]
        rows += [("stages", ", ".join(stages)), *maker.items()]
    return Table("Software and machine", (Column("what"), Column("which")), tuple(rows), "Of what made the stages.")
