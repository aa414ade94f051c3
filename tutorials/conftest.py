"""Run the numbered pages as tests, one test a page: the notebooks that a reader gets are executed, answers included.

What a cell prints must be what the page says, digit for digit; the last digit may differ by one, since processors round
differently. Figures are saved to a temporary folder, so that tests change no file here. With TINYSEGRANK_DRAW=1 they
are saved to this one, where `figure.savefig("figures/05_flips.png")` draws the picture shown.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from nbclient.exceptions import CellExecutionError
from PIL import Image

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # for `import notebooks`, and the pages' `from drawing import ...`
from notebooks import PAGE, answer_cells, number_of, page_cells
from running import run_cells

LARGEST_FIGURE = {".png": 60_000, ".svg": 120_000}  # bytes; SVG is text, which shrinks when it is sent
NARROWEST_FIGURE = 600  # pixels; SVG files grow with the page


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    return Page.from_parent(parent, path=file_path) if PAGE.fullmatch(file_path.name) else None


class Page(pytest.File):
    """A tutorial."""

    def collect(self) -> Iterable[pytest.Item]:
        cells = Cells.from_parent(self, name="cells")
        cells.add_marker("slow")
        yield cells


class Cells(pytest.Item):
    """All cells of a page: one test, so that pytest-xdist does not deal them out to processes that share no names."""

    def runtest(self) -> None:
        with drawing_folder(number_of(self.path)) as folder:
            run_cells([*page_cells(self.path, folder, saves=True), *answer_cells(self.path, folder)], folder)
            for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", self.path.read_text(encoding="utf-8")):
                drawn = [] if link.endswith("_demo.png") else [folder / link]  # the demo's pictures are not drawn here
                for picture in (*drawn, HERE / link):
                    size = picture.stat().st_size  # or the picture is missing, an error that names it
                    assert size <= LARGEST_FIGURE[picture.suffix], (
                        f"{picture} has {size} bytes; draw less or make it smaller"
                    )
                    assert width_of(picture) >= NARROWEST_FIGURE, f"{picture} is too narrow"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: object) -> object:
        if isinstance(excinfo.value, CellExecutionError | AssertionError):
            return re.sub(r"\x1b\[[\d;]*m", "", str(excinfo.value))  # without colours
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
    before = {path: path.read_bytes() for path in (HERE / "figures").glob(f"{number}_*.*")}
    try:
        yield
    finally:
        for path, kept in before.items():
            same = same_drawing if path.suffix == ".svg" else alike
            if path.read_bytes() != kept and same(path.read_bytes(), kept):
                path.write_bytes(kept)


def width_of(picture: Path) -> float:
    """Return the width of a picture in pixels; that of a drawing without pixels is unlimited."""
    if picture.suffix == ".svg":
        return float("inf")
    with Image.open(picture) as image:
        return image.size[0]


def same_drawing(one: bytes, other: bytes) -> bool:
    """Return whether two SVG files differ by their date, release and the rounding of numbers at most."""
    texts = [re.sub(rb"(?s)<metadata>.*?</metadata>|<!--.*?-->", b"", data) for data in (one, other)]
    words = [re.split(rb"-?\d+(?:\.\d+)?", text) for text in texts]
    numbers = [[float(number) for number in re.findall(rb"-?\d+(?:\.\d+)?", text)] for text in texts]
    return words[0] == words[1] and bool(np.allclose(*numbers, rtol=0, atol=0.5))


def alike(one: bytes, other: bytes) -> bool:
    """Return whether two pictures differ by no more than the smoothing of edges, as text does between releases."""
    a, b = (Image.open(io.BytesIO(data)).convert("L") for data in (one, other))
    if a.size != b.size:
        return False
    a, b = (np.asarray(image.reduce(4), dtype=int) for image in (a, b))
    return bool(np.max(np.abs(a - b)) <= 16)
