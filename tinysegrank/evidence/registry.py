"""All pieces of evidence, in the order of the paper's tables and figures."""

from __future__ import annotations

from tinysegrank.errors import ConfigError
from tinysegrank.evidence import (
    ablation,
    ablation_seeds,
    background_term,
    figure_2,
    figure_4,
    figure_6,
    from_scratch,
    qualitative,
    rerank_alone,
    seeds,
    table_1,
    table_2,
)
from tinysegrank.evidence.pieces import Piece

ALL = "all"
PIECES = (
    table_1.PIECE,
    rerank_alone.PIECE,
    table_2.PIECE,
    ablation.PIECE,
    figure_2.PIECE,
    from_scratch.PIECE,
    qualitative.PIECES[0],
    figure_4.PIECE,
    *qualitative.PIECES[1:],
    figure_6.PIECE,
    background_term.PIECE,
    seeds.PIECE,
    ablation_seeds.PIECE,
)


def pieces_named(names: tuple[str, ...]) -> list[Piece]:
    """Look pieces up; "all" stands for every one.

    Raises:
        ConfigError: there is none of a name.
    """
    by_name = {piece.name: piece for piece in PIECES}
    if unknown := [name for name in names if name not in by_name and name != ALL]:
        raise ConfigError(f'evidence "{unknown[0]}": choose one of {", ".join(by_name)}, or {ALL}')
    return [piece for piece in PIECES if piece.name in names or ALL in names]
