"""Colours of toy objects: many classes share each range, so that colour alone does not tell the class."""

from __future__ import annotations

from colorsys import hsv_to_rgb

import numpy as np

from tinysegrank.voc.toy.pen import Paint

# hue from, to; saturation from, to; value from, to
_FUR = ((0.02, 0.12, 0.05, 0.65, 0.25, 0.95), (0.0, 1.0, 0.0, 0.1, 0.2, 0.95))
_LEAF = ((0.2, 0.42, 0.3, 0.8, 0.3, 0.8),)
_WOOD = ((0.03, 0.11, 0.3, 0.75, 0.3, 0.8), (0.0, 1.0, 0.0, 0.1, 0.25, 0.95))
_LACQUER = ((0.0, 1.0, 0.35, 0.95, 0.4, 0.95), (0.0, 1.0, 0.0, 0.1, 0.3, 1.0))
_ANY = ((0.0, 1.0, 0.0, 1.0, 0.2, 1.0),)
_RANGES = {
    **dict.fromkeys(("bird", "cat", "cow", "dog", "horse", "sheep"), _FUR),
    **dict.fromkeys(("chair", "diningtable"), _WOOD),
    "pottedplant": _LEAF,
}
_ODD = 0.2  # share of objects in a colour out of their range


def object_colours(rng: np.random.Generator, name: str) -> np.ndarray:
    """Draw the colours of one object of a class.

    returns | (9, 3) | float32 | R, G, B in 0..255 of each `Paint`; row 0 is unused
    """
    ranges = _ANY if rng.random() < _ODD else _RANGES.get(name, _LACQUER)
    body = draw_colour(rng, ranges)
    colours = np.zeros((9, 3), np.float32)
    colours[Paint.BODY] = body
    colours[Paint.SHADE] = body * rng.uniform(0.6, 0.78)
    colours[Paint.LIGHT] = body + (255 - body) * rng.uniform(0.25, 0.5)
    colours[Paint.ACCENT] = draw_colour(rng, ranges if ranges is _FUR else _LACQUER)
    colours[Paint.GLASS] = draw_colour(rng, ((0.5, 0.65, 0.1, 0.5, 0.45, 0.9),))
    colours[Paint.DARK] = rng.uniform(20, 60) + rng.uniform(-8, 8, 3)
    colours[Paint.SKIN] = draw_colour(rng, ((0.03, 0.08, 0.25, 0.6, 0.4, 0.95),))
    colours[Paint.PALE] = rng.uniform(205, 245) + rng.uniform(-8, 8, 3)
    return colours


def draw_colour(rng: np.random.Generator, ranges: tuple[tuple[float, ...], ...] = _LACQUER) -> np.ndarray:
    """Draw a colour from one of several ranges of hue, saturation and value: (3,) float32, R, G, B in 0..255."""
    h0, h1, s0, s1, v0, v1 = ranges[int(rng.integers(len(ranges)))]
    hsv = rng.uniform((h0, s0, v0), (h1, s1, v1))
    return np.array(hsv_to_rgb(*hsv), np.float32) * 255
