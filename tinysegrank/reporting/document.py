"""A report as one self-contained HTML file: no network access, images embedded, no script but `browser.js`."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import NamedTuple

from tinysegrank.errors import ShapeError
from tinysegrank.reporting.browser import Browser
from tinysegrank.reporting.tables import Table

TEMPLATE, SCRIPT = "report.html.j2", "browser.js"
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption, which is also its alternative text.

    Raises:
        ShapeError: the bytes are not a PNG.
    """

    png: bytes
    caption: str

    def __post_init__(self) -> None:
        if not self.png.startswith(_PNG):
            raise ShapeError(f"picture {self.caption!r}: is not a PNG; make it again")

    @property
    def address(self) -> str:
        """The image as a data: URL."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


class Claim(NamedTuple):
    """A claim of the paper, what a run shows, and how the two compare."""

    paper: str
    here: str
    verdict: str


@dataclass(frozen=True)
class Section:
    """A section of a report: title, paragraphs, claims, items, pictures, browser, tables and listing, in this order."""

    title: str
    paragraphs: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    items: tuple[str, ...] = ()  # of a bulleted list
    tables: tuple[Table, ...] = ()  # shown as tables, and as Markdown to copy
    pictures: tuple[Picture, ...] = ()
    browser: Browser | None = None  # at most one section has it
    listing: str = ""  # shown verbatim, such as a settings file
    below: bool = False  # whether it is a subsection of the last main section before it

    @property
    def anchor(self) -> str:
        """The section's anchor in the HTML file, made from its title."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"


@dataclass(frozen=True)
class Document:
    """A report: a title, facts as (name, value) pairs, and sections, whose titles differ."""

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    def to_html(self) -> str:
        """Return the report as HTML, with all titles, texts and table cells escaped."""
        from jinja2 import Environment, StrictUndefined

        package = resources.files("tinysegrank.reporting")
        template, script = (package.joinpath(name).read_text(encoding="utf-8") for name in (TEMPLATE, SCRIPT))
        digest = base64.b64encode(sha256(script.encode()).digest()).decode("ascii")  # of the only script that may run
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        return environment.from_string(template).render(document=self, script=script, digest=digest)
