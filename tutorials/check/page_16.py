"""Checks of the exercises of page 16, Classes of your own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from check.compare import close, exercise, require


@exercise
def exercise_16_1(first: str, second: str) -> None:
    """Check how two palette PNGs are read: "number", "colour" or "refused"."""
    require(first == "refused", "the first: 1 has the colour of class 2, so colours decide, and one is no class's")
    require(second == "number", "the second: no number has the colour of another class, so numbers decide")


@exercise
def exercise_16_2(segnet: int, classification: int, rerank: int) -> None:
    """Check the number of columns of each block with three classes, background included."""
    from tinysegrank.ranking import BLOCKS

    names = ("background", "crop", "weed")
    for name, yours in (("segnet", segnet), ("classification", classification), ("rerank", rerank)):
        close(yours, len(BLOCKS[name].columns(names)), f"the columns of {name}")


@exercise
def exercise_16_3(classes_of_colours: Callable[[Sequence[np.ndarray]], Sequence[str]]) -> None:
    """Check classes_of_colours(masks): the lines of a classes.txt, in the order in which the colours first appear."""
    from tinysegrank.voc import Classes

    first, second = np.zeros((3, 4, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    first[1, 2:], first[2, 0], second[0] = (200, 10, 30), (4, 5, 6), (4, 5, 6)
    second[1, 1] = (0, 9, 0)
    found = Classes.parse(classes_of_colours([first, second]), "your lines")
    require(found.names[1:] == ("class 1", "class 2", "class 3"), f"the names are {found.names[1:]}")
    close(found.colours[1:], [(200, 10, 30), (4, 5, 6), (0, 9, 0)], "the colours")
