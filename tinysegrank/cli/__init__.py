"""The `tinysegrank` command."""

from __future__ import annotations

from tinysegrank.cli.commands import app

__all__ = ["app"]
