"""The HTML report: well formed, escaped, whole by itself, with pictures that decode."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.html_pages import Parsed, check_alone, pictures
from tinysegrank.errors import ShapeError
from tinysegrank.reporting import Claim, Column, Document, Picture, Section, Table

NASTY = "<script>alert('x')</script> & \"cat\" | dog"


def png(colour=(10, 20, 30)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(stream, "PNG")
    return stream.getvalue()


def document() -> Document:
    table = Table("A table", (Column("class"), Column("IoU", ".2f")), ((NASTY, 1 / 3), ("dog", None)), "A note.")
    return Document(
        f"run {NASTY}",
        (("data", NASTY),),
        (
            Section("First", (NASTY,), items=(NASTY,), tables=(table,), pictures=(Picture(png(), NASTY),)),
            Section("Second", claims=(Claim(NASTY, "found", "too close to tell"),), below=True),
            Section("Third", listing='name = "<b>"\n'),
        ),
    )


def test_it_is_whole_by_itself_and_nests():
    parsed = check_alone(document().to_html())
    assert [len(parsed.all(tag)) for tag in ("h1", "h2", "h3", "section", "img")] == [1, 2, 1, 3, 1]
    np.testing.assert_array_equal(pictures(parsed)[0], np.full((3, 4, 3), (10, 20, 30), np.uint8))


def test_verdicts_fit_on_a_narrow_screen():
    """At 390 pixels a column that can't wrap, beside two of at least 9rem, is cut off."""
    style = "".join(Parsed(document().to_html()).texts["style"])
    (narrow,) = re.findall(r"@media \(max-width: 40rem\) \{(.*?)\n\}", style, re.DOTALL)
    assert re.search(r"table\.claims td \{[^}]*min-width: 0", narrow)
    assert re.search(r"\.verdict \{[^}]*white-space: normal", narrow)


def test_what_comes_from_outside_is_escaped():
    text = document().to_html()
    assert "<script" not in text and "<b>" not in text
    parsed = Parsed(text)
    for tag in ("h1", "dd", "p", "li", "td", "figcaption"):
        assert any(NASTY in part for part in parsed.texts[tag]), tag
    assert any(attributes["alt"] == NASTY for attributes in parsed.all("img"))
    assert 'name = "<b>"' in "".join(parsed.texts["pre"])


def test_tables_are_there_as_cells_and_as_text():
    parsed = Parsed(document().to_html())
    assert [cell.strip() for cell in parsed.texts["td"] if cell.strip()][:4] == [NASTY, "0.33", "dog", "–"]
    assert parsed.texts["caption"] == ["A table"]
    markdown = "".join(parsed.texts["pre"])
    assert "**A table**" in markdown and re.search(r"\| dog +\| +– \|", markdown) and "A note." in markdown
    numbers = [attributes for attributes in parsed.all("td") if attributes.get("class") == "number"]
    assert len(numbers) == 2


def test_a_verdict_has_a_class_of_its_own():
    parsed = Parsed(document().to_html())
    assert any(attributes.get("class") == "verdict too-close-to-tell" for attributes in parsed.all("td"))


def test_the_template_is_part_of_the_package():
    from importlib import resources

    assert resources.files("tinysegrank.reporting").joinpath("report.html.j2").is_file()


def test_a_picture_that_is_not_a_png():
    with pytest.raises(ShapeError, match="is not a PNG"):
        Picture(b"GIF89a", "x")
