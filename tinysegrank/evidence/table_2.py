"""Table 2: every way of labelling val, this run's means beside the paper's, and the orderings that the paper draws."""

from __future__ import annotations

from functools import partial

from tinysegrank import reporting
from tinysegrank.evidence.claims import Ordering, check_claims, over_images
from tinysegrank.evidence.measures import described, draw_beside_paper, per_cent, summed, system_confusions
from tinysegrank.evidence.piece import Finding, Piece, Request
from tinysegrank.experiment.stages import report
from tinysegrank.experiment.stages.evaluation import read_counts
from tinysegrank.ranking import oracle_picks

_OTHER_WORDS = {  # (better, worse) of report.ORDERINGS for which Table 2 does not have two figures
    ("SegNet+SVM", "1-best"): "re-ranking improves on the 1-best proposal (Table 1: 52.5 over 46.5, on test).",
    ("oracle", "SegNet+SVM"): "re-ranking leaves much to gain: it adds 6 points to the 1-best (Table 1), the best "
    "proposals would add 15 (section 3.3).",
}
_FEW = 10  # proposals, of section 3.3


def ordering(better: str, worse: str) -> Ordering:
    """Return the paper's sentence that one system is better than another."""
    if (better, worse) in _OTHER_WORDS:
        return Ordering(_OTHER_WORDS[better, worse], better, worse)
    high, low = reporting.TABLE_2[better], reporting.TABLE_2[worse]
    return Ordering(f"{better} ({high}) is {high - low:.1f} points above {worse} ({low}).", better, worse)


def compare_systems(request: Request) -> Finding:
    """Compare the run's mean of each system with the paper's, and test each ordering that the paper gives."""
    run = request.run
    table = report.tables(run, read_counts(run))["table_2"]
    methods = system_confusions(run, report.TABLE_2)
    ours = {name: [per_cent(run, summed(of_images))] for name, of_images in methods.items()}
    val, few = described(run, "val"), f"the oracle among {min(_FEW, run.settings.proposals.count)}"
    methods[few] = val.confusions[oracle_picks(val.table.quality, val.table.groups, first=_FEW)]
    methods["the 1-best"] = methods["1-best"]
    among_ten = "the oracle among just 10 proposals is 15 points above the 1-best (section 3.3)."
    orderings = [*(ordering(*pair) for pair in report.ORDERINGS), Ordering(among_ten, few, "the 1-best")]
    draw = partial(draw_beside_paper, ours=ours, paper=reporting.TABLE_2, title="Table 2")
    return Finding(check_claims(orderings, methods, over_images(run)), table, draw)


PIECE = Piece("table-2", "Table 2: every way of labelling val", compare_systems, ("data", "described", "evaluation"))
