"""Features of a proposal, in named blocks of named columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.ranking.features import classification, rerank, segnet
from tinysegrank.ranking.features.block import Block, ImageProposals
from tinysegrank.ranking.table import chosen_blocks

__all__ = ["BLOCKS", "PAPER_BLOCKS", "Block", "ImageProposals", "describe"]

BLOCKS: dict[str, Block] = {
    "segnet": segnet.BLOCK,
    "classification": classification.BLOCK,
    "rerank": rerank.BLOCK,
    classification.UNGATED: classification.UNGATED_BLOCK,
}
"""The blocks by name. Add one of your own as `ranking.BLOCKS["mine"] = Block(columns, compute)`."""
PAPER_BLOCKS = ("segnet", "classification", "rerank")
"""The paper's blocks (1), (2) and (3)."""


def describe(
    proposals: ImageProposals, blocks: Sequence[str] = PAPER_BLOCKS
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Compute blocks of features of the M proposals of an image.

    Return a dictionary, in the order of `blocks`, from each block's name to the names of its columns and their values,
    (M, columns) float32. The paper's blocks have 86, 100 and 1107 columns for the 21 classes of VOC.

    Args:
        blocks: names in `BLOCKS`; by default the paper's.

    Raises:
        ConfigError: a block is unknown or duplicated, there is none, or one needs something that `proposals` lacks.
        ShapeError: the arrays do not fit each other or hold invalid numbers, or a block's values are not (M, columns).
        DatasetError: a label is not a class, or the image is smaller than SegNet's grid.

    Paper: section 4, "Segmentation features".
    """
    described = {}
    for name in chosen_blocks(blocks, BLOCKS):
        columns, values = tuple(BLOCKS[name].columns(proposals.class_names)), BLOCKS[name].compute(proposals)
        if values.shape != (len(proposals.labels), len(columns)):
            raise ShapeError(
                f"block {name!r}: computes {values.shape} for {len(proposals.labels)} proposals and {len(columns)} "
                "columns; return one row per proposal, one number per column"
            )
        described[name] = (columns, values)
    return described
