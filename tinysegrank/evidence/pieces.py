"""What a piece of evidence is: what the paper claims, what a run must have to look into it, and what is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tinysegrank.experiment.runner import Run
from tinysegrank.experiment.settings import Settings
from tinysegrank.reporting import Table

AGREES, DIFFERS, UNCLEAR, APART = "agrees", "differs", "too close to tell", "not compared"


class Claim(NamedTuple):
    """A sentence of the paper's evidence, what this run shows, and how the two stand to each other.

    `verdict` is AGREES, DIFFERS, UNCLEAR (the run cannot tell), or APART (something the paper has no figure for, or a
    figure that is not comparable). Of a gain it is about the sign, not about the size.
    """

    paper: str
    here: str
    verdict: str


@dataclass(frozen=True)
class Finding:
    """What a piece of evidence comes to.

    Attributes:
        claims: the paper's beside this run's.
        table: all figures.
        draw: draws the figure to a PNG file.
        notes: how it was done, where that matters for reading the figures.
    """

    claims: tuple[Claim, ...]
    table: Table
    draw: Callable[[Path], None]
    notes: tuple[str, ...] = ()


class Asked(NamedTuple):
    """A run to look into, the folder that the piece may keep its work in, and the seeds of its trainings."""

    run: Run
    folder: Path
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A piece of evidence of the paper, as work on a run.

    Attributes:
        name: also of its folder under RUN/evidence.
        title: what it shows, with its place in the paper.
        work: looks into the run.
        needs: names of the stages whose files it reads.
        lacks: what else the run lacks for it, in words; "" where it lacks nothing. Called when the stages are there.
        seeded: whether it trains, once for each seed.
        settings: the settings of the run that it depends on beside those that the stages do.
    """

    name: str
    title: str
    work: Callable[[Asked], Finding]
    needs: tuple[str, ...]
    lacks: Callable[[Run], str] = field(default=lambda run: "")  # noqa: ARG005
    seeded: bool = False
    settings: Callable[[Settings], Any] = field(default=lambda settings: None)  # noqa: ARG005
