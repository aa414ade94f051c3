"""A pen that draws the parts of one object, in the object's own coordinates, as paint numbers on a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from PIL import Image, ImageDraw

Points = Sequence[tuple[float, float]]

_ROUND = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=1)  # (28, 2)
_CORNER = [(np.cos(angle), np.sin(angle)) for angle in np.linspace(0, np.pi / 2, 5)]


class Paint(IntEnum):
    """Numbers of the colours of one object; 0 is a pixel outside the object."""

    BODY = 1
    SHADE = 2
    LIGHT = 3
    ACCENT = 4
    GLASS = 5
    DARK = 6
    SKIN = 7
    PALE = 8


class Pen:
    """Draws on a canvas through an affine map.

    Points and lengths are in the object's own coordinates: x to the right, y down, from about -1 to 1 along its longer
    side.

    Args:
        size: width and height of the canvas, in pixels.
        linear: (2, 2) matrix from object units to pixels.
        centre: (2,), x and y of the object's origin, in pixels.

    Attributes:
        canvas: an image of paint numbers.
    """

    def __init__(self, size: tuple[int, int], linear: np.ndarray, centre: np.ndarray) -> None:
        self.canvas = Image.new("L", size)
        self._draw = ImageDraw.Draw(self.canvas)
        self._linear = linear
        self._centre = centre
        self._unit = float(np.sqrt(abs(np.linalg.det(linear))))

    def _place(self, points: Points | np.ndarray) -> list[float]:
        return (np.asarray(points) @ self._linear.T + self._centre).ravel().tolist()

    def polygon(self, points: Points | np.ndarray, paint: Paint) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._place(points), fill=int(paint))

    def ellipse(self, x: float, y: float, rx: float, ry: float, paint: Paint, turn: float = 0.0) -> None:
        """Fill an ellipse around (x, y), turned by `turn` radians."""
        cos, sin = np.cos(turn), np.sin(turn)
        self.polygon(_CIRCLE * (rx, ry) @ np.array([[cos, sin], [-sin, cos]]) + (x, y), paint)

    def box(self, left: float, top: float, right: float, bottom: float, paint: Paint, corner: float = 0.0) -> None:
        """Fill a rectangle, with corners rounded by the radius `corner`."""
        if not corner:
            self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], paint)
            return
        x0, y0, x1, y1 = left + corner, top + corner, right - corner, bottom - corner
        outline = [(x1 + corner * c, y1 + corner * s) for c, s in _CORNER]
        outline += [(x0 - corner * s, y1 + corner * c) for c, s in _CORNER]
        outline += [(x0 - corner * c, y0 - corner * s) for c, s in _CORNER]
        outline += [(x1 + corner * s, y0 - corner * c) for c, s in _CORNER]
        self.polygon(outline, paint)

    def blob(self, points: Points, paint: Paint) -> None:
        """Fill a smooth closed curve through the points (a Catmull-Rom spline)."""
        p1 = np.asarray(points, float)
        p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
        t = np.linspace(0, 1, 6, endpoint=False)[:, None, None]
        slope_1, slope_2 = (p2 - p0) / 2, (p3 - p1) / 2
        curve = (  # cubic Hermite between p1 and p2: (6, points, 2)
            (2 * t**3 - 3 * t**2 + 1) * p1
            + (t**3 - 2 * t**2 + t) * slope_1
            + (3 * t**2 - 2 * t**3) * p2
            + (t**3 - t**2) * slope_2
        )
        self.polygon(curve.transpose(1, 0, 2).reshape(-1, 2), paint)

    def stroke(self, points: Points | np.ndarray, width: float, paint: Paint) -> None:
        """Draw a line through the points, with round joints and ends, at least two canvas pixels wide."""
        pixels = max(2, round(width * self._unit))
        placed = self._place(points)
        self._draw.line(placed, fill=int(paint), width=pixels, joint="curve")
        radius = pixels / 2
        for x, y in (placed[:2], placed[-2:]):
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(paint))

    def ring(self, x: float, y: float, radius: float, width: float, paint: Paint) -> None:
        """Draw a circle's outline."""
        circle = _CIRCLE * radius + (x, y)
        self.stroke(np.concatenate([circle, circle[:1]]), width, paint)
