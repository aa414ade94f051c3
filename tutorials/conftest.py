"""Run the Python cells of the numbered pages as tests, one test a page.

The cells of a page run in order and share their names. A cell that starts with `>>>` also has its output checked,
numbers to one in the last digit, since processors round differently. The cells run in a temporary folder, so that
tests change no file here. With TINYSEGRANK_DRAW=1 they run in this one, where
`figure.savefig("figures/04_flips.png")` draws the picture shown.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import sybil.evaluators.doctest
from PIL import Image
from sybil import Sybil
from sybil.evaluators.doctest import NUMBER
from sybil.example import SybilFailure
from sybil.parsers.markdown import PythonCodeBlockParser

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # for the pages' `from drawing import ...`
from drawing import STYLE


def _close(expected: str, actual: str, tolerance: float = 1e-12) -> bool:
    """Compare as decimals: 0.44 and 0.43 differ by one in the last digit, as they may, but as floats by a bit more."""
    return abs(Decimal(expected) - Decimal(actual)) <= Decimal(str(tolerance))


sybil.evaluators.doctest.float_approx_equal = _close
SYBIL = Sybil([PythonCodeBlockParser(doctest_optionflags=NUMBER | doctest.ELLIPSIS)])
LARGEST_FIGURE = 60_000  # bytes


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    return Page.from_parent(parent, path=file_path) if re.fullmatch(r"\d\d_\w+\.md", file_path.name) else None


class Page(pytest.File):
    """A tutorial."""

    def collect(self) -> Iterable[pytest.Item]:
        cells = Cells.from_parent(self, name="cells")
        cells.add_marker("slow")
        yield cells


class Cells(pytest.Item):
    """All cells of a page: one test, so that pytest-xdist does not deal them out to processes that share no names."""

    def runtest(self) -> None:
        document = SYBIL.parse(self.path)
        matplotlib.use("Agg")
        with matplotlib.rc_context(STYLE), drawing_folder(self.path.stem[:2]) as folder, contextlib.chdir(folder):
            try:
                for example in document.examples():
                    example.evaluate()
            finally:
                plt.close("all")
            for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", document.text):
                for picture in (folder / link, HERE / link):  # just drawn, and shown
                    size = picture.stat().st_size  # or the picture is missing, an error that names it
                    assert size <= LARGEST_FIGURE, f"{picture} has {size} bytes; draw less or make it smaller"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        if isinstance(excinfo.value, SybilFailure):
            return str(excinfo.value)
        excinfo.traceback = excinfo.traceback.cut(path=self.path)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.path.name


@contextlib.contextmanager
def drawing_folder(number: str) -> Iterator[Path]:
    """Return the folder for a page to run in, with a folder for its figures."""
    if os.environ.get("TINYSEGRANK_DRAW") == "1":
        with kept_if_alike(number):
            yield HERE
        return
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "figures").mkdir()
        yield Path(made)


@contextlib.contextmanager
def kept_if_alike(number: str) -> Iterator[None]:
    """Put a page's pictures back byte by byte unless they changed visibly, so that other releases leave no trace."""
    before = {path: path.read_bytes() for path in (HERE / "figures").glob(f"{number}_*.png")}
    yield
    for path, kept in before.items():
        if path.read_bytes() != kept and alike(path.read_bytes(), kept):
            path.write_bytes(kept)


def alike(one: bytes, other: bytes) -> bool:
    """Whether two pictures differ by no more than the smoothing of their edges, as text does between releases."""
    a, b = (Image.open(io.BytesIO(data)).convert("L") for data in (one, other))
    if a.size != b.size:
        return False
    a, b = (np.asarray(image.reduce(4), dtype=int) for image in (a, b))
    return bool(np.max(np.abs(a - b)) <= 16)
