"""The `tinysegrank` command."""

from __future__ import annotations

from tinysegrank.cli import evidence as _evidence  # noqa: F401  # adds its commands
from tinysegrank.cli import export as _export  # noqa: F401
from tinysegrank.cli import fetch as _fetch  # noqa: F401
from tinysegrank.cli.commands import app

__all__ = ["app"]
