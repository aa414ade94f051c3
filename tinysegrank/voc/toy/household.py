"""Toy household objects, one drawing function per class: bottle, chair, diningtable, pottedplant, sofa, tvmonitor."""

from __future__ import annotations

import numpy as np

from tinysegrank.voc.toy.pen import Paint, Pen


def bottle(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a bottle: a round body, sloping shoulders, a thin neck with a cap, a label, a highlight."""
    half, shoulder = rng.uniform(0.24, 0.32), rng.uniform(-0.35, -0.1)
    outline = [(0.09, -0.95), (0.1, -0.6), (half, shoulder), (half, 0.9), (half - 0.06, 0.98)]
    pen.polygon([*outline, *[(-x, y) for x, y in reversed(outline)]], Paint.BODY)
    pen.ellipse(0, shoulder, half, 0.2, Paint.BODY)
    pen.box(-0.11, -1, 0.11, -0.84, Paint.DARK, 0.03)
    pen.box(-half, 0.1, half, 0.62, Paint.PALE)
    pen.box(-half, 0.2, half, 0.32, Paint.ACCENT)
    pen.ellipse(0, 0.46, 0.09, 0.09, Paint.ACCENT)
    pen.stroke([(-half + 0.08, shoulder + 0.05), (-half + 0.08, 0.82)], 0.05, Paint.LIGHT)


def chair(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a chair: a seat on four straight legs, with a slatted or a padded back."""
    seat = rng.uniform(0.08, 0.2)
    for x in (-0.26, 0.5):
        pen.stroke([(x, seat), (x, 0.78)], 0.1, Paint.SHADE)
    for x in (-0.44, 0.2):
        pen.stroke([(x, -0.92 if x < 0 else seat), (x, 0.95)], 0.11, Paint.BODY)
    if rng.random() < 0.6:
        for x in (-0.28, -0.1, 0.08):
            pen.stroke([(x + 0.03, -0.85), (x + 0.03, seat)], 0.08, Paint.BODY)
        pen.box(-0.48, -0.98, 0.34, -0.78, Paint.BODY, 0.06)
    else:
        pen.box(-0.46, -0.95, 0.32, -0.2, Paint.ACCENT, 0.12)
    pen.stroke([(0.26, -0.85), (0.26, seat)], 0.1, Paint.BODY)
    pen.polygon([(-0.5, seat + 0.06), (-0.3, seat - 0.14), (0.58, seat - 0.14), (0.3, seat + 0.06)], Paint.ACCENT)
    pen.polygon([(-0.5, seat + 0.06), (0.3, seat + 0.06), (0.58, seat - 0.14), (0.58, seat - 0.04), (0.3, seat + 0.18),
                 (-0.5, seat + 0.18)], Paint.SHADE)  # fmt: skip


def diningtable(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a dining table with plates: a wide top, seen from above, on four legs, or a round one on a foot."""
    if round_top := rng.random() < 0.4:
        pen.polygon([(-0.1, 0.0), (0.1, 0.0), (0.14, 0.7), (-0.14, 0.7)], Paint.SHADE)
        pen.ellipse(0, 0.72, 0.42, 0.12, Paint.SHADE)
        pen.ellipse(0, -0.14, 1.0, 0.32, Paint.SHADE)
        pen.ellipse(0, -0.2, 1.0, 0.32, Paint.BODY)
    else:
        for x, bottom in ((-0.62, 0.55), (0.62, 0.55), (-0.88, 0.78), (0.88, 0.78)):
            pen.box(x - 0.07, 0.0, x + 0.07, bottom, Paint.SHADE)
        pen.polygon([(-0.72, -0.42), (0.72, -0.42), (1, 0.1), (-1, 0.1)], Paint.BODY)
        pen.box(-1, 0.1, 1, 0.22, Paint.SHADE)
        if rng.random() < 0.5:
            pen.polygon([(-0.2, -0.42), (0.2, -0.42), (0.28, 0.1), (-0.28, 0.1)], Paint.ACCENT)
    seats = [(-0.5, -0.26), (0.5, -0.26), (-0.58, -0.06), (0.58, -0.06)]
    for x, y in [(0.8 * x, y - 0.04) for x, y in seats] if round_top else seats:
        pen.ellipse(x, y, 0.17, 0.065, Paint.PALE)
        pen.ellipse(x, y, 0.1, 0.035, Paint.LIGHT)
    pen.box(-0.07, -0.5, 0.07, -0.18, Paint.GLASS, 0.04)


def pottedplant(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a potted plant: a tapering pot with a rim, and a fan of long or of round leaves."""
    long_leaves = rng.random() < 0.5
    count = 11 if long_leaves else 16
    for number, angle in enumerate(np.linspace(-1.25, 1.25, count) + rng.uniform(-0.1, 0.1, count)):
        reach = rng.uniform(0.75, 1.15) if long_leaves else rng.uniform(0.45, 1.0)
        x, y = reach * np.sin(angle) * 0.8, 0.25 - reach * np.cos(angle)
        paint = (Paint.BODY, Paint.SHADE, Paint.LIGHT)[number % 3]
        if long_leaves:
            bend = (0.55 * x + 0.1 * np.cos(angle), 0.3 + 0.55 * (y - 0.25))
            side = 0.09 * np.array([np.cos(angle), np.sin(angle)])
            pen.blob(
                [(0, 0.3), (bend[0] - side[0], bend[1] - side[1]), (x, y), (bend[0] + side[0], bend[1] + side[1])],
                paint,
            )
        else:
            pen.stroke([(0, 0.3), (x, y)], 0.03, Paint.SHADE)
            pen.ellipse(x, y, 0.2, 0.13, paint, angle)
    half = rng.uniform(0.28, 0.38)
    pen.polygon([(-half, 0.3), (half, 0.3), (half * 0.72, 0.98), (-half * 0.72, 0.98)], Paint.ACCENT)
    pen.box(-half - 0.06, 0.24, half + 0.06, 0.42, Paint.ACCENT, 0.04)
    pen.stroke([(-half, 0.44), (half, 0.44)], 0.03, Paint.DARK)


def sofa(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a sofa: a wide low seat of two or three cushions, a back, two round arms, short feet."""
    for x in (-0.85, 0.85):
        pen.box(x - 0.06, 0.4, x + 0.06, 0.58, Paint.DARK)
    pen.box(-0.9, -0.5, 0.9, 0.4, Paint.SHADE, 0.14)
    cushions = int(rng.integers(2, 4))
    width = 1.5 / cushions
    for number in range(cushions):
        left = -0.75 + number * width
        pen.box(left + 0.015, -0.44, left + width - 0.015, 0.06, Paint.BODY, 0.08)
        pen.box(left + 0.01, 0.02, left + width - 0.01, 0.26, Paint.LIGHT, 0.06)
    pen.box(-0.9, 0.24, 0.9, 0.46, Paint.BODY, 0.03)
    for side in (-1, 1):
        pen.box(min(0.7 * side, 1.0 * side), -0.14, max(0.7 * side, 1.0 * side), 0.47, Paint.BODY, 0.13)
        pen.ellipse(0.85 * side, 0.0, 0.09, 0.09, Paint.SHADE)
    if rng.random() < 0.6:
        x, turn = rng.choice([-0.5, 0.5]), rng.uniform(-0.3, 0.3)
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.17
        turned = square @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        pen.polygon(turned + np.array([x, -0.12]), Paint.ACCENT)


def tvmonitor(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a TV monitor: a dark frame around a shining screen with a picture or lines of text, on a stand."""
    half = rng.uniform(0.52, 0.64)
    pen.polygon([(-0.1, half - 0.1), (0.1, half - 0.1), (0.14, half + 0.2), (-0.14, half + 0.2)], Paint.DARK)
    pen.box(-0.42, half + 0.14, 0.42, half + 0.26, Paint.DARK, 0.05)
    pen.box(-1, -half - 0.06, 1, half, Paint.DARK, 0.06)
    pen.box(-0.9, -half + 0.04, 0.9, half - 0.12, Paint.GLASS)
    if rng.random() < 0.5:
        for y in np.linspace(-half + 0.16, half - 0.26, 6):
            pen.stroke([(-0.78, y), (rng.uniform(-0.3, 0.7), y)], 0.05, Paint.PALE)
    else:
        pen.polygon([(-0.9, half - 0.12), (-0.4, -0.1), (-0.05, 0.2), (0.3, -0.25), (0.9, half - 0.12)], Paint.BODY)
        pen.ellipse(0.55, -half + 0.24, 0.12, 0.12, Paint.ACCENT)
    pen.polygon([(-0.9, -half + 0.04), (-0.5, -half + 0.04), (-0.9, -0.05)], Paint.LIGHT)
    pen.ellipse(0.86, half - 0.06, 0.03, 0.03, Paint.ACCENT)
