"""Section 5's ablation: the ranker on each block of features alone, on each pair, and on all."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinysegrank import reporting
from tinysegrank.config import to_dict
from tinysegrank.evidence.judge import FOLDER
from tinysegrank.evidence.pieces import DIFFERS, UNCLEAR, Asked, Claim, Finding, Piece
from tinysegrank.evidence.sources import (
    compare,
    described,
    mean_headings,
    means,
    per_cent,
    total,
)
from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.stages.described import Described
from tinysegrank.experiment.stages.ranker import fit_on_blocks
from tinysegrank.files import read_json, write_json
from tinysegrank.ranking import PAPER_BLOCKS, UNGATED, FeatureTable, pick
from tinysegrank.reporting import Cell, Column, Table

EQ_17 = "Eq. 17, no SVM"
NAMES = {
    "segnet": "(1) SegNet",
    "classification": "(2) classification",
    "rerank": "(3) DivMBest+ReRank",
    UNGATED: "(2) not gated",
    "eq17": "Eq. 17",
}
BY_EQ_17 = ("eq17",)  # in place of blocks: no ranker
PAPER = {  # section 5, on val; where it gives two figures for one thing, the second set's, that of "three types"
    BY_EQ_17: 48.7,
    ("segnet",): 49.0,
    ("classification",): 47.8,
    ("rerank",): 48.1,
    ("segnet", "rerank"): 52.0,
    ("classification", "rerank"): 50.5,
    ("segnet", "classification", "rerank"): 53.0,
}


class Said(NamedTuple):
    """A sentence of section 5: one set of blocks ranks better than another, or about the same."""

    paper: str
    better: tuple[str, ...]
    worse: tuple[str, ...]
    same: bool = False


_SEGNET, _CLASSES, _RERANK = ("segnet",), ("classification",), ("rerank",)
_ALL, _NO_SEGNET, _NO_CLASSES = _SEGNET + _CLASSES + _RERANK, _CLASSES + _RERANK, _SEGNET + _RERANK
SAID = (
    Said("with SegNet features alone, the SVM performs about the same as ranking by KL divergence: 47.4 in one place, "
         "49.0 in another, 48.7 for Eq. 17.", _SEGNET, BY_EQ_17, same=True),
    Said("adding classification features to SegNet's increases it by about 3.5 points.", _SEGNET + _CLASSES, _SEGNET),
    Said("adding the features of DivMBest+ReRank to SegNet's increases it by about 4.0 points.", _NO_CLASSES, _SEGNET),
    Said("SegNet's features alone (49.0) outperform classification features alone (47.8).", _SEGNET, _CLASSES),
    Said("SegNet's features alone (49.0) outperform those of DivMBest+ReRank alone (48.1).", _SEGNET, _RERANK),
    Said("without SegNet's features it is 50.5, with them 53: they matter beside other CNN features.", _ALL,
         _NO_SEGNET),
    Said("without classification features it is 52.0, with them 53: an extra point.", _ALL, _NO_CLASSES),
    Said("SegNet's features matter more beside DivMBest+ReRank's (52.0) than classification's do (50.5).",
         _NO_CLASSES, _NO_SEGNET),
)  # fmt: skip


class Subset(NamedTuple):
    """A ranker on some blocks: what it picks on val, the C chosen and its accuracy on held-out training images."""

    blocks: tuple[str, ...]
    columns: int
    C: float
    held_out: float
    rows: np.ndarray

    @property
    def name(self) -> str:
        """As in the paper."""
        return block_names(self.blocks)


def block_names(blocks: tuple[str, ...]) -> str:
    """Blocks as in the paper: a single one by number and name, several by their numbers."""
    names = [NAMES.get(block, block) for block in blocks]
    if len(names) == 1:
        return names[0]
    return " + ".join(
        name if block not in PAPER_BLOCKS else name[:3] for block, name in zip(blocks, names, strict=True)
    )


def find(asked: Asked) -> Finding:
    """Fit and judge a ranker on every subset of the blocks."""
    run = asked.run
    train, val = described(run, "train"), described(run, "val")
    subsets = fit_subsets(run, train, val)
    by_blocks = {subset.blocks: subset for subset in subsets}
    eq17 = pick(-val.distances[run.settings.ranking.loss], val.table.groups)
    headings = mean_headings(run, total(val.confusions[eq17]))
    held_out = eq17_of_training_images(run, train)
    rows: list[tuple[Cell, ...]] = [
        (EQ_17, None, None, held_out, *means(run, total(val.confusions[eq17])), PAPER[BY_EQ_17])
    ]
    for subset in subsets:
        found = means(run, total(val.confusions[subset.rows]))
        cells = (subset.name, subset.columns, subset.C, 100 * subset.held_out)
        rows.append((*cells, *found, PAPER.get(subset.blocks)))
    columns = (
        Column("features"),
        Column("columns", "d"),
        Column("C", "g"),
        Column("held-out training images"),
        *(Column(f"val, {heading}") for heading in headings),
        Column("paper (val)"),
    )
    title = "Ablation of section 5: rankers on blocks of features"
    note = (
        "Corpus IoU of the picks in per cent; C is chosen by cross-validation over training images, each ranker's own."
    )
    table = Table(title, columns, tuple(rows), note)
    draw = partial(draw_bars, rows=rows, column=4)
    return Finding(tuple(claims(run, val, by_blocks, eq17)), table, draw, NOTES)


def eq17_of_training_images(run: Run, train: Described) -> float | None:
    """The corpus IoU, in per cent, of what Eq. 17 picks on the training images, whose features are all out of fold."""
    if "segnet" not in train.table.blocks:
        return None
    scores = eq17_by_features(train.table, run.settings.ranking.background_weight)
    return per_cent(run, total(train.confusions[pick(-scores, train.table.groups)]))


def eq17_by_features(table: FeatureTable, background_weight: float) -> np.ndarray:
    """Eq. 17 but for a constant in each image, (rows,) float64: I + U of the background is its mass in both maps."""
    weights = {
        "kl_segnet_to_proposal": 1.0,
        "kl_proposal_to_segnet": 1.0,
        "intersection_background": background_weight,
        "union_background": background_weight,
    }
    places = [table.columns["segnet"].index(name) for name in weights]
    return np.asarray(table.blocks["segnet"][:, places] @ np.array(list(weights.values())))


def block_subsets(blocks: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every subset of the paper's blocks, small ones first; then the others, and all with (2) as the paper words it."""
    ours = tuple(block for block in PAPER_BLOCKS if block in blocks)
    subsets = [subset for size in range(1, len(ours) + 1) for subset in combinations(ours, size)]
    subsets += [(block,) for block in blocks if block not in PAPER_BLOCKS]
    if UNGATED in blocks and ours:
        subsets.append(tuple(UNGATED if block == "classification" else block for block in ours))
    return list(dict.fromkeys(subsets))


def fit_subsets(run: Run, train: Described, val: Described) -> list[Subset]:
    """Fit a ranker on each subset of the blocks, as the run fits its own; those kept from before are read."""
    subsets = block_subsets(tuple(train.table.blocks))
    out = []
    with run.progress.count("rankers", len(subsets)) as advance:
        for blocks in subsets:
            out.append(fit_subset(run, train, val, blocks))
            advance(1)
    return out


def fit_subset(run: Run, train: Described, val: Described, blocks: tuple[str, ...]) -> Subset:
    """Fit a ranker on some blocks, unless its picks are there."""
    file = run.folder(FOLDER) / "rankers" / _state(run) / f"{'+'.join(blocks)}.json"
    if not file.is_file():
        fitted = fit_on_blocks(run, train.table, train.confusions, blocks)
        rows = pick(fitted.ranker.scores(val.table), val.table.groups)
        record: dict[str, Any] = {"C": fitted.chosen.C, "held_out": float(np.max(fitted.chosen.accuracy))}
        write_json(file, record | {"columns": len(fitted.ranker.columns), "rows": rows.tolist()})
    record = read_json(file)
    return Subset(blocks, record["columns"], record["C"], record["held_out"], np.array(record["rows"]))


def _state(run: Run) -> str:
    """A name for what the rankers depend on."""
    settings = [run.settings.ranking, run.settings.report.classes, run.settings.seed]
    made_from = json.dumps([run.content("described"), settings], default=to_dict)
    return hashlib.sha256(made_from.encode()).hexdigest()[:16]


def claims(run: Run, val: Described, subsets: dict[tuple[str, ...], Subset], eq17: np.ndarray) -> list[Claim]:
    """Section 5's sentences, as far as the blocks allow."""
    picks = {blocks: subset.rows for blocks, subset in subsets.items()} | {BY_EQ_17: eq17}
    out = []
    for said in SAID:
        if said.better in picks and said.worse in picks:
            pair = [(block_names(of), val.confusions[picks[of]]) for of in (said.better, said.worse)]
            out.append(compare(run, said.paper, *pair, same=said.same))
    if (UNGATED,) in picks:
        first = np.flatnonzero(val.table.proposals == 0)
        same = np.array_equal(picks[UNGATED,], first)
        out.append(ungated_claim(same))
    return out


def ungated_claim(same: bool) -> Claim:
    """What the classification features do as the paper's words have them, the same for all proposals of an image."""
    return Claim(
        "classification scores, described as features of the image, rank proposals at 47.8 by themselves.",
        "as features of the image alone they cancel between its proposals, and the ranker takes the first of each; so "
        "ours are gated by what a proposal contains."
        if same
        else "as features of the image alone they should cancel, yet the picks are not the first proposals.",
        DIFFERS if same else UNCLEAR,
    )


def draw_bars(path: Path, *, rows: list[tuple[Cell, ...]], column: int) -> None:
    """Ours and the paper's, a group a subset."""
    groups = [str(row[0]) for row in rows]
    series = {"this run": [row[column] for row in rows], "the paper": [row[-1] for row in rows]}
    reporting.bars(path, groups, series, label="mean IoU on val, per cent", title="Ablation")  # type: ignore[arg-type]


NOTES = (
    "The paper gives 47.4 for SegNet features alone and 3.5 and 4.0 points for adding the others, then 49.0, 47.8 and "
    "48.1 for the three alone; the table has the second set, which is whole but for (1) + (2).",
)
PIECE = Piece("ablation", "Section 5: blocks of features alone and together", find, ("data", "described"))
