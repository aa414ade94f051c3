"""`python -m tinysegrank` is the `tinysegrank` command."""

from __future__ import annotations

from tinysegrank.cli import app

if __name__ == "__main__":
    app()
