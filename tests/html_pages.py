"""Reading an HTML page in tests: it must nest, stand alone, and its pictures decode."""

from __future__ import annotations

import base64
import io
import json
import re
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
from PIL import Image

VOID_ELEMENTS = {"meta", "img", "br", "hr", "link", "input"}


class Parsed(HTMLParser):
    """Collects elements and text, and insists that elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def check_alone(text: str) -> Parsed:
    """Parse a report; nothing in it may be fetched from elsewhere, or run but the script that its policy names."""
    parsed = Parsed(text)
    assert text.startswith("<!DOCTYPE html>")
    assert not parsed.all("link") and not parsed.all("iframe")
    for name, attributes in parsed.elements:
        assert not any(attribute.startswith("on") for attribute in attributes), name
        for place in ("src", "href", "srcset", "data", "action"):
            if place in attributes:
                assert attributes[place].startswith(("data:image/png;base64,", "#")), (name, attributes[place][:60])
    (style,) = ["".join(parsed.texts["style"])]
    assert "url(" not in style and "@import" not in style and "prefers-color-scheme: dark" in style
    policy = next(a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    kinds = [attributes.get("type", "") for attributes in parsed.all("script")]
    assert kinds == (["application/json", ""] if "script-src" in policy else [])
    if kinds:
        data, script = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
        assert json.loads(data) and "<" not in data
        digest = base64.b64encode(sha256(script.encode()).digest()).decode()
        assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]
    anchors = {attributes.get("id") for attributes in parsed.all("section")}
    assert {attributes["href"][1:] for attributes in parsed.all("a")} == anchors
    return parsed


def pictures(parsed: Parsed) -> list[np.ndarray]:
    """Decode the pictures of a report."""
    out = []
    for attributes in parsed.all("img"):
        assert attributes["alt"]
        with Image.open(io.BytesIO(base64.b64decode(attributes["src"].split(",", 1)[1], validate=True))) as picture:
            assert picture.format == "PNG"
            out.append(np.asarray(picture))
    return out
