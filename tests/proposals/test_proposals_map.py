"""The map in the docstring of the package: every line has a verdict, and names things that exist."""

from __future__ import annotations

from pkgutil import resolve_name

from tinysegrank import proposals

ROWS = [line.split(" | ") for line in (proposals.__doc__ or "").splitlines() if " | " in line]


def test_every_line_has_a_verdict_a_fact_and_a_place():
    assert len(ROWS) > 50
    assert {len(row) for row in ROWS} == {3}
    assert {row[0].strip() for row in ROWS} == {"kept", "simplified", "changed", "left out", "added"}


def test_every_place_exists():
    for *_, places in ROWS:
        for place in places.split():
            assert resolve_name(f"tinysegrank.proposals.{place}") is not None
