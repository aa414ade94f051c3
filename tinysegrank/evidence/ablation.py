"""Section 5's ablation: the ranker on each block of features alone, on each pair, and on all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np

from tinysegrank.evidence.claims import DIFFERS, UNCLEAR, Claim, Ordering, Statement, check_claims, over_images
from tinysegrank.evidence.measures import described, draw_beside_paper, mean_headings, means, per_cent, summed
from tinysegrank.evidence.piece import EVIDENCE, Finding, Piece, Request
from tinysegrank.experiment import artifacts
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.described import Described
from tinysegrank.experiment.stages.ranker import fit_on_blocks
from tinysegrank.files import read_json, write_json
from tinysegrank.ranking import PAPER_BLOCKS, UNGATED, FeatureTable, pick
from tinysegrank.reporting import Cell, Column, Table

EQ_17 = "Eq. 17, no SVM"
_NAMES = {
    "segnet": "(1) SegNet",
    "classification": "(2) classification",
    "rerank": "(3) DivMBest+ReRank",
    UNGATED: "(2) not gated",
}
_SEGNET, _CLASSES, _RERANK, _UNGATED = _NAMES.values()
_ALL, _NO_SEGNET, _NO_CLASSES = "(1) + (2) + (3)", "(2) + (3)", "(1) + (3)"
PAPER = {  # section 5, on val; where it gives two figures for one thing, the second set's, that of "three types"
    EQ_17: 48.7,
    _SEGNET: 49.0,
    _CLASSES: 47.8,
    _RERANK: 48.1,
    _NO_CLASSES: 52.0,
    _NO_SEGNET: 50.5,
    _ALL: 53.0,
}
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
_CANCELLING = Statement(
    "classification scores, described as features of the image, rank proposals at 47.8 by themselves.",
    "as features of the image alone they {found}", lambda cancels: DIFFERS if cancels else UNCLEAR, ("cancels",)
)  # fmt: skip
_CANCELS = {
    True: "cancel between its proposals, and the ranker takes the first of each; so ours are gated by what a proposal "
    "contains.",
    False: "should cancel, yet the picks are not the first proposals.",
}
_PICKS = "picks.json"
_NOTES = (
    "The paper gives 47.4 for SegNet features alone and 3.5 and 4.0 points for adding the others, then 49.0, 47.8 and "
    "48.1 for the three alone; the table has the second set, which is whole but for (1) + (2).",
)


class Subset(NamedTuple):
    """A ranker on some blocks: the rows it picks on val, its C, and its accuracy on held-out training images."""

    name: str
    columns: int
    C: float
    held_out: float
    rows: np.ndarray


def block_names(blocks: tuple[str, ...]) -> str:
    """Name blocks as the paper does: a single one by number and name, several by their numbers."""
    names = [_NAMES.get(block, block) for block in blocks]
    if len(names) == 1:
        return names[0]
    return " + ".join(name[:3] if block in PAPER_BLOCKS else name for block, name in zip(blocks, names, strict=True))


def fit_ablation(request: Request) -> Finding:
    """Fit a ranker on every subset of the blocks, and compare the rankers' picks."""
    run = request.run
    train, val = described(run, "train"), described(run, "val")
    subsets = fit_subsets(run, train, val)
    picks = {EQ_17: picks_of_eq17(run, val)} | {subset.name: subset.rows for subset in subsets}
    counts = {name: summed(val.confusions[rows]) for name, rows in picks.items()}
    ours = {name: means(run, confusion) for name, confusion in counts.items()}
    details: dict[str, tuple[Cell, ...]] = {EQ_17: (None, None, _eq17_of_training_images(run, train))}
    details |= {subset.name: (subset.columns, subset.C, 100 * subset.held_out) for subset in subsets}
    columns = (
        *(Column("features"), Column("columns", "d"), Column("C", "g"), Column("held-out training images")),
        *(Column(f"val, {heading}") for heading in mean_headings(run, counts[EQ_17])),
        Column("paper (val)"),
    )
    rows = tuple((name, *details[name], *ours[name], PAPER.get(name)) for name in picks)
    title = "Ablation of section 5: rankers on blocks of features"
    note = "Corpus IoU of the picks in per cent; C is chosen by cross-validation over training images, each ranker's "
    note += "own."
    draw = partial(draw_beside_paper, ours={name: of[:1] for name, of in ours.items()}, paper=PAPER, title="Ablation")
    return Finding(_claims(run, val, picks), Table(title, columns, rows, note), draw, _NOTES)


def _claims(run: Run, val: Described, picks: Mapping[str, np.ndarray]) -> tuple[Claim, ...]:
    statements: list[Ordering | Statement] = [*ORDERINGS]
    measured: dict[str, object] = {name: val.confusions[rows] for name, rows in picks.items()}
    if _UNGATED in picks:
        cancels = np.array_equal(picks[_UNGATED], np.flatnonzero(val.table.proposals == 0))
        measured |= {"cancels": cancels, "found": _CANCELS[cancels]}
        statements.append(_CANCELLING)
    return check_claims(statements, measured, over_images(run, {EQ_17: "Eq. 17"}))


def picks_of_eq17(run: Run, val: Described) -> np.ndarray:
    """Return the row that Eq. 17 picks for each image of val, (N,) int64."""
    return pick(-val.distances[run.settings.ranking.loss], val.table.groups)


def _eq17_of_training_images(run: Run, train: Described) -> float | None:
    """Return the corpus IoU, in per cent, of Eq. 17's picks on the training images; None without SegNet's features."""
    if "segnet" not in train.table.blocks:
        return None
    distances = eq17_by_features(train.table, run.settings.ranking.background_weight)
    return per_cent(run, summed(train.confusions[pick(-distances, train.table.groups)]))


def eq17_by_features(table: FeatureTable, background_weight: float) -> np.ndarray:
    """Compute Eq. 17 from the features, up to a constant per image, (rows,) float64.

    Its background term follows from them because I + U of the background is its mass in both maps.
    """
    weights = {
        "kl_segnet_to_proposal": 1.0,
        "kl_proposal_to_segnet": 1.0,
        "intersection_background": background_weight,
        "union_background": background_weight,
    }
    places = [table.columns["segnet"].index(name) for name in weights]
    return np.asarray(table.blocks["segnet"][:, places] @ np.array(list(weights.values())))


def block_subsets(blocks: tuple[str, ...]) -> list[tuple[str, ...]]:
    """List the sets of blocks to fit a ranker on.

    These are all subsets of the paper's blocks, small ones first; each other block alone; and the paper's blocks with
    the ungated classification block instead of the gated one.
    """
    ours = tuple(block for block in PAPER_BLOCKS if block in blocks)
    subsets = [subset for size in range(1, len(ours) + 1) for subset in combinations(ours, size)]
    subsets += [(block,) for block in blocks if block not in PAPER_BLOCKS]
    if UNGATED in blocks and ours:
        subsets.append(tuple(UNGATED if block == "classification" else block for block in ours))
    return list(dict.fromkeys(subsets))


def fit_subsets(run: Run, train: Described, val: Described) -> list[Subset]:
    """Fit a ranker on each subset of the blocks, with the run's settings; reuse those fitted before."""
    subsets = block_subsets(tuple(train.table.blocks))
    fitted = []
    with run.progress.count("rankers", len(subsets)) as advance:
        for blocks in subsets:
            fitted.append(fit_subset(run, train, val, blocks))
            advance(1)
    return fitted


def fit_subset(run: Run, train: Described, val: Described, blocks: tuple[str, ...]) -> Subset:
    """Fit a ranker on some blocks, unless it was fitted before; return it as a `Subset`."""
    folder = run.path / EVIDENCE / "rankers" / "+".join(blocks)
    settings = [run.settings.ranking, run.settings.report.classes, run.settings.seed]
    key = artifacts.key(settings, [run.content("described"), blocks], __name__)

    def fit() -> None:
        fitted = fit_on_blocks(run, train.table, train.confusions, blocks)
        rows = pick(fitted.ranker.scores(val.table), val.table.groups)
        record = {"C": fitted.chosen.C, "held_out": float(np.max(fitted.chosen.accuracy))}
        write_json(folder / _PICKS, {**record, "columns": len(fitted.ranker.columns), "rows": rows.tolist()})

    artifacts.make(folder, key, fit)
    held = read_json(folder / _PICKS)
    return Subset(block_names(blocks), held["columns"], held["C"], held["held_out"], np.array(held["rows"]))


PIECE = Piece("ablation", "Section 5: blocks of features alone and together", fit_ablation, ("data", "described"))
