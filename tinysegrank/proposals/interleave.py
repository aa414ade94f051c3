"""Merge the proposals of several engines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.proposals.divmbest import Proposal, check_count


def interleave(*lists: Sequence[Proposal], count: int) -> list[Proposal]:
    """Interleave proposals of one image: the first of each list, then the second of each, and so on.

    Args:
        lists: proposals of each engine, best first; the first proposal of the first list stays first.
        count: number of proposals to return; all if there are fewer.

    Proposals keep the scores of their own engines, which are not comparable: rank them by something else.

    Raises:
        ConfigError: there is no proposal, or `count` is below 1.
        ShapeError: proposals differ in size.
    """
    check_count(count)
    mixed = [p for of_rank in zip_longest(*lists) for p in of_rank if p is not None]
    if not mixed:
        raise ConfigError("lists: there is no proposal in them; give at least one")
    if len(shapes := {p.labels.shape for p in mixed}) > 1:
        raise ShapeError(f"lists: proposals of sizes {sorted(shapes)}; give those of one image")
    return mixed[:count]
