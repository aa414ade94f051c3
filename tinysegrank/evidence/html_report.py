"""The HTML report of a run with its evidence: each piece's claims, figure, table and notes."""

from __future__ import annotations

import shlex
from pathlib import Path

from tinysegrank.evidence import tables
from tinysegrank.evidence.claims import VERDICTS
from tinysegrank.evidence.collect import ALL, MADE, read_evidence
from tinysegrank.evidence.piece import Written
from tinysegrank.experiment.html_report import check_report, read_picture, write_report
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.report import ORDERINGS
from tinysegrank.reporting import Section


def write_html_report(run: Run, file: Path) -> None:
    """Write the report of a finished run.

    Raises:
        CheckpointError: a stage that it shows is not finished, or a file of the run is missing or damaged.
        OutputError: the file cannot be written, or exists and isn't a report. This is checked before any work.
    """
    check_report(run, file)
    pieces = read_evidence(run)
    tested = [one for one, state in pieces if state == MADE and one.name == tables.TEST_OF_ORDERINGS]
    verdict_of = {claim.paper: claim.verdict for one in tested for claim in one.claims}
    verdicts = {pair: verdict_of[tables.ordering(*pair).paper] for pair in ORDERINGS if tested}
    write_report(run, file, _sections(run, pieces), verdicts=verdicts, test=_command(run, tables.TEST_OF_ORDERINGS))


def _command(run: Run, piece: str) -> str:
    """Return the command that makes a piece of evidence of this run, from any folder."""
    return f"tinysegrank evidence {shlex.quote(str(run.path.resolve()))} {piece}"


def _sections(run: Run, pieces: list[tuple[Written, str]]) -> list[Section]:
    if not pieces:
        return [Section("Evidence", (f"None is made yet: make it, piece by piece, by `{_command(run, ALL)}`.",))]
    verdicts = [claim.verdict for written, _ in pieces for claim in written.claims]
    counted = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in VERDICTS)
    opening = f"The paper's claims beside what this run shows, {len(verdicts)} in all: {counted}."
    sections = [Section("Evidence", (opening,))]
    for written, state in pieces:
        earlier = () if state == MADE else (f"{state.capitalize()}; make it again.",)
        title, picture = f"Evidence, {written.title}", read_picture(written.figure, written.table.title)
        sections.append(
            Section(title, earlier, written.claims, written.notes, (written.table,), (picture,), below=True)
        )
    return sections
