"""The command line that the harnesses with a folder share."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path


def asked_folder(description: str | None, name: str) -> Path:
    """Return the folder that --folder names, or a new one with the harness's name in its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="folder to work in, and to resume in; a new one by default")
    return parser.parse_args().folder or Path(tempfile.mkdtemp(prefix=f"tinysegrank-{name}-"))
