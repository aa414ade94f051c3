"""A report as one HTML file that needs nothing else: no network, no scripts, pictures inside it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from importlib import resources

from tinysegrank.errors import ShapeError
from tinysegrank.reporting.tables import Table

TEMPLATE = "report.html.j2"
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A PNG with the words under it, which also stand for it where it cannot be seen.

    Raises:
        ShapeError: the bytes are no PNG.
    """

    png: bytes
    caption: str

    def __post_init__(self) -> None:
        if not self.png.startswith(_PNG):
            raise ShapeError(f"picture {self.caption!r}: is no PNG; make it again")

    @property
    def address(self) -> str:
        """The picture itself, as an address."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


@dataclass(frozen=True)
class Statement:
    """What is claimed, what was found, and how the two stand to each other."""

    claimed: str
    found: str
    verdict: str


@dataclass(frozen=True)
class Section:
    """A part of a report, its contents shown in this order.

    Attributes:
        title: heading; sections with `below` set stand under the one before that has it not.
        paragraphs: plain text.
        statements: claims beside findings.
        items: lines of a list.
        tables: shown as tables, and as text that can be copied.
        pictures: PNGs.
        listing: text shown as it is, such as a settings file.
        below: a smaller heading.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()
    items: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    listing: str = ""
    below: bool = False

    @property
    def anchor(self) -> str:
        """The title as the name of a place in the file."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"


@dataclass(frozen=True)
class Document:
    """A report: a title, facts as name and value, and sections.

    Raises:
        ShapeError: two sections have the same title, so that links to them would be one.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        anchors = [section.anchor for section in self.sections]
        if len(set(anchors)) < len(anchors):
            twice = next(anchor for anchor in anchors if anchors.count(anchor) > 1)
            raise ShapeError(f"sections: {twice!r} is there twice; give each a title of its own")

    def to_html(self) -> str:
        """Return the file's text; everything in it that came from outside is escaped."""
        from jinja2 import Environment, StrictUndefined

        text = resources.files("tinysegrank.reporting").joinpath(TEMPLATE).read_text(encoding="utf-8")
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        return environment.from_string(text).render(document=self)
