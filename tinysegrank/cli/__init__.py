"""The `tinysegrank` command."""

from __future__ import annotations

from tinysegrank.cli import commands, evidence, export, fetch  # noqa: F401  # each adds its subcommands
from tinysegrank.cli.group import app

__all__ = ["app"]
