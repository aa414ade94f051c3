"""The lines on the paper's orderings: figures that print alike are never called different."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinysegrank.experiment import Run, Settings, Silent
from tinysegrank.experiment.stages.evaluation import folder_of
from tinysegrank.experiment.stages.report import TABLE_2, orderings
from tinysegrank.metrics import Confusion


def scoring(correct: int) -> Confusion:
    """Return a confusion of two classes, the second in no truth; the mean IoU is `correct` in 10 million."""
    return Confusion.of(np.array([[correct, 10**7 - correct], [0, 0]]))


@pytest.mark.parametrize(
    ("high", "low", "line"),
    [
        (5_634_000, 5_626_000, "(56.34) over naive upsampling (56.26): higher here"),
        (5_629_000, 5_634_000, "(56.29) over naive upsampling (56.34): lower here"),
        (5_630_200, 5_630_100, "(56.302) over naive upsampling (56.301): higher here"),
        (5_630_001, 5_630_000, "(56.3) over naive upsampling (56.3): not ordered here"),
        (5_800_000, 5_630_000, "(58.0) over naive upsampling (56.3): higher here"),
    ],
)
def test_figures_are_printed_with_the_digits_that_tell_them_apart(high: int, low: int, line: str) -> None:
    run = Run(Path(), Settings(), 1, Silent())
    counts = {folder_of(run.settings, name): scoring(low) for name in TABLE_2}
    counts[folder_of(run.settings, "superpixel upsampling")] = scoring(high)
    first = orderings(run, counts)[0].removeprefix("- superpixel upsampling ")
    assert first == line
