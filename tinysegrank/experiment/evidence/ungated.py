"""Classification features as the paper's words have them: scores of the image, the same for all of its proposals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinysegrank.experiment.evidence.sources import Described
from tinysegrank.experiment.runner import Run

UNGATED = "ungated"


def with_ungated(run: Run, which: str, held: Described) -> Described:
    """Add the block to a split's table where it has the gated one."""
    if "classification" not in held.table.blocks:
        return held
    from tinysegrank.experiment.classified import scores_of

    table = held.table
    scores = np.stack([of_image.scores for of_image in scores_of(run, which)])  # (images, d)
    names = tuple(f"ungated_{name}" for name in table.columns["classification"])
    blocks = {**table.blocks, UNGATED: scores[table.groups].astype(np.float32)}  # (rows, d)
    return held._replace(table=replace(table, blocks=blocks, columns={**table.columns, UNGATED: names}))
