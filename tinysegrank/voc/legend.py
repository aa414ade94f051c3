"""A legend of classes, as a strip to go below a picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_SMALLEST_TEXT, _TEXTS_ACROSS = 10, 36  # pixels; heights of the text in the strip's width


def draw_legend(width: int, entries: Sequence[tuple[str, tuple[int, int, int]]]) -> Image.Image:
    """Return a white strip with names and their colours (R, G, B), in as many lines as they need."""
    text = max(width // _TEXTS_ACROSS, _SMALLEST_TEXT)
    font, gap = ImageFont.load_default(size=text), text // 2
    places, x, y = [], gap, gap
    for name, _ in entries:
        length = text + gap + int(font.getlength(name))
        if x + length > width and x > gap:
            x, y = gap, y + text + gap
        places.append((x, y))
        x += length + 2 * gap
    strip = Image.new("RGB", (width, y + text + gap), "white")
    draw = ImageDraw.Draw(strip)
    for (name, colour), (x, y) in zip(entries, places, strict=True):
        draw.rectangle((x, y, x + text - 1, y + text - 1), fill=colour, outline="black")
        draw.text((x + text + gap, y), name, "black", font)
    return strip
