"""Section 5's ablation: a ranker on each block of features alone, on each pair, and on all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from tinysegrank.evidence.claims import DIFFERS, UNCLEAR, Ordering, Statement
from tinysegrank.evidence.measures import bars_beside_paper, means, per_cent, read_described
from tinysegrank.evidence.piece import EVIDENCE, Finding, Piece, Request
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages import data, described
from tinysegrank.experiment.stages.ranker import fit_on_blocks
from tinysegrank.files import read_json, reading, write_json
from tinysegrank.ranking import PAPER_BLOCKS, UNGATED, StoredTable, pick
from tinysegrank.reporting import Column, Table

EQ_17 = "Eq. 17, no SVM"
_NAMES = {
    "segnet": "(1) SegNet",
    "classification": "(2) classification",
    "rerank": "(3) DivMBest+ReRank",
    UNGATED: "(2) not gated",
}
_SEGNET, _CLASSES, _RERANK, _UNGATED = _NAMES.values()
_ALL, _NO_SEGNET, _NO_CLASSES = "(1) + (2) + (3)", "(2) + (3)", "(1) + (3)"
# section 5, on val; where it gives two figures for one thing, the second set's, that of "three types"
PAPER = {EQ_17: 48.7, _SEGNET: 49.0, _CLASSES: 47.8, _RERANK: 48.1, _NO_CLASSES: 52.0, _NO_SEGNET: 50.5, _ALL: 53.0}
ORDERINGS = (
    Ordering("with SegNet features alone, the SVM performs about the same as ranking by KL divergence: 47.4 in one "
             "place, 49.0 in another, 48.7 for Eq. 17.", _SEGNET, EQ_17, same=True),
    Ordering("adding classification features to SegNet's increases it by about 3.5 points.", "(1) + (2)", _SEGNET),
    Ordering("adding the features of DivMBest+ReRank to SegNet's increases it by about 4.0 points.", _NO_CLASSES,
             _SEGNET),
    Ordering("SegNet's features alone (49.0) outperform classification features alone (47.8).", _SEGNET, _CLASSES),
    Ordering("SegNet's features alone (49.0) outperform those of DivMBest+ReRank alone (48.1).", _SEGNET, _RERANK),
    Ordering("without SegNet's features it is 50.5, with them 53: they matter beside other CNN features.", _ALL,
             _NO_SEGNET),
    Ordering("without classification features it is 52.0, with them 53: an extra point.", _ALL, _NO_CLASSES),
    Ordering("SegNet's features matter more beside DivMBest+ReRank's (52.0) than classification's do (50.5).",
             _NO_CLASSES, _NO_SEGNET),
)  # fmt: skip
_CANCELLING = "classification scores, described as features of the image, rank proposals at 47.8 by themselves."
_CANCELS = {
    True: "as features of the image alone they cancel between its proposals, and the ranker takes the first of each; "
    "so ours are gated by what a proposal contains.",
    False: "as features of the image alone they should cancel, yet the picks are not the first proposals.",
}
_PICKS = "picks.json"
_NOTE = "Corpus IoU of the picks in per cent; C is chosen by cross-validation over training images, each ranker's own."
_NOTES = (
    "The paper gives 47.4 for SegNet features alone and 3.5 and 4.0 points for adding the others, then 49.0, 47.8 and "
    "48.1 for the three alone; the table has the second set, which is whole but for (1) + (2).",
)


class Ranking(NamedTuple):
    """The picks of a ranking on val: of Eq. 17, or of a fitted ranker."""

    name: str
    columns: int | None  # number of columns of a fitted ranker's features
    C: float | None  # of a fitted ranker
    held_out: float  # corpus IoU of the picks, in per cent, on training images that were not fitted on
    rows: np.ndarray  # the picked row of the table of val for each image, (N,) int64


def fit_ablation(request: Request) -> Finding:
    """Fit a ranker on each block of features alone and on blocks together; compare their picks and those of Eq. 17."""
    run, val = request.run, read_described(request.run, "val")
    found = rankings(run)
    rows_of = {one.name: one.rows for one in found}
    picks = {name: val.confusions[rows] for name, rows in rows_of.items()}
    ours = {name: means(run, confusions) for name, confusions in picks.items()}
    columns = (
        *(Column("features"), Column("columns", "d"), Column("C", "g"), Column("held-out training images")),
        *(Column(f"val, {heading}") for heading, _ in ours[EQ_17]),
        Column("paper (val)"),
    )
    rows = tuple((*one[:4], *(mean for _, mean in ours[one.name]), PAPER.get(one.name)) for one in found)
    table = Table("Ablation of section 5: rankers on blocks of features", columns, rows, _NOTE)
    draw = bars_beside_paper({name: [of[0][1]] for name, of in ours.items()}, PAPER, "Ablation")
    statements: list[Ordering | Statement] = [ORDERINGS[0]._replace(worse="Eq. 17"), *ORDERINGS[1:]]
    if _UNGATED in picks:
        cancels = np.array_equal(rows_of[_UNGATED], np.flatnonzero(val.table.proposals == 0))
        statements.append(Statement(_CANCELLING, _CANCELS[cancels], lambda: DIFFERS if cancels else UNCLEAR))
    return Finding(statements, picks | {"Eq. 17": picks[EQ_17]}, table, draw, _NOTES)


def rankings(run: Run) -> list[Ranking]:
    """Return the picks of Eq. 17, then those of a ranker on each of `block_subsets`, see `fit_subsets`."""
    train, val, ranking = read_described(run, "train"), read_described(run, "val"), run.settings.ranking
    distances = eq17_by_features(train.table, ranking.background_weight)
    accuracy = per_cent(run, train.confusions[pick(-distances, train.table.groups)])
    found = [Ranking(EQ_17, None, None, accuracy, pick(-val.distances[ranking.loss], val.table.groups))]
    return found + fit_subsets(run, block_subsets(tuple(train.table.columns)))


def fit_subsets(run: Run, subsets: Sequence[tuple[str, ...]]) -> list[Ranking]:
    """Return the picks on val of a ranker on each set of feature blocks; rankers are fitted unless picks are stored."""
    found = []
    with run.progress.count("rankers", len(subsets)) as advance:
        for blocks in subsets:
            found.append(_fit_subset(run, blocks))
            advance(1)
    return found


def _fit_subset(run: Run, blocks: tuple[str, ...]) -> Ranking:
    folder = run.path / EVIDENCE / "rankers" / "+".join(blocks)
    settings = [run.settings.ranking, run.settings.report.classes, run.settings.seed]
    key = artifacts.key(settings, [run.content(described.STAGE.name), blocks], __name__)

    def fit() -> None:
        train, val = read_described(run, "train"), read_described(run, "val")
        fitted = fit_on_blocks(run, train.table, train.confusions, blocks)
        rows = pick(fitted.ranker.scores(val.table), val.table.groups)
        record = {"C": fitted.chosen.C, "held_out": float(np.max(fitted.chosen.accuracy))}
        write_json(folder / _PICKS, {**record, "columns": len(fitted.ranker.columns), "rows": rows.tolist()})

    artifacts.make(folder, key, fit)
    with reading(folder / _PICKS):
        held = read_json(folder / _PICKS)
        return Ranking(block_names(blocks), held["columns"], held["C"], 100 * held["held_out"], np.array(held["rows"]))


def block_names(blocks: tuple[str, ...]) -> str:
    """Name blocks as the paper does: one as "(1) SegNet", several as "(1) + (2)"."""
    names = [_NAMES.get(block, block) for block in blocks]
    if len(names) == 1:
        return names[0]
    return " + ".join(name[:3] if block in PAPER_BLOCKS else name for block, name in zip(blocks, names, strict=True))


def block_subsets(blocks: tuple[str, ...]) -> list[tuple[str, ...]]:
    """List the sets of blocks to fit a ranker on, given a run's blocks.

    They are all non-empty subsets of the paper's blocks that the run has, small ones first; each other block alone;
    and, if the run has the ungated classification block, the paper's blocks with it instead of the gated one.
    """
    ours = tuple(block for block in PAPER_BLOCKS if block in blocks)
    subsets = [subset for size in range(1, len(ours) + 1) for subset in combinations(ours, size)]
    subsets += [(block,) for block in blocks if block not in PAPER_BLOCKS]
    if UNGATED in blocks and ours:
        subsets.append(tuple(UNGATED if block == "classification" else block for block in ours))
    return list(dict.fromkeys(subsets))


def eq17_by_features(table: StoredTable, background_weight: float) -> np.ndarray:
    """Compute Eq. 17 of each proposal from its SegNet features, up to a constant per image: (rows,) float64.

    Eq. 17 has the proposal's background mass. The features have the intersection and union of the proposal's background
    with SegNet's; their sum is the mass of both, and SegNet's is the same for all proposals of an image.
    """
    kinds = ("kl_segnet_to_proposal", "kl_proposal_to_segnet", "intersection_background", "union_background")
    places = [table.columns["segnet"].index(name) for name in kinds]
    return np.asarray(table.select("segnet"))[:, places] @ np.array([1.0, 1.0, background_weight, background_weight])


_NEEDS = (data.STAGE, described.STAGE)
PIECE = Piece("ablation", "Section 5: blocks of features alone and together", fit_ablation, _NEEDS)
