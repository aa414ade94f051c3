"""The canvas of a toy scene: objects are drawn at twice its size and averaged, for smooth edges."""

from __future__ import annotations

from colorsys import hsv_to_rgb

import numpy as np

from tinysegrank.voc.classes import CLASS_NAMES, VOID
from tinysegrank.voc.toy import animals, household, vehicles
from tinysegrank.voc.toy.pen import Paint, Pen
from tinysegrank.voc.toy.textures import noise

_FAMILIES = (animals, household, vehicles)
_DRAW = {name: next(getattr(family, name) for family in _FAMILIES if hasattr(family, name)) for name in CLASS_NAMES[1:]}
_TURNS = {"aeroplane": 0.7, "bird": 0.35, "bottle": 0.5, "car": 0.15, "motorbike": 0.2, "bicycle": 0.2}  # radians
_WOOLLY = ("sheep", "cat", "dog", "pottedplant", "sofa", "cow")
_OVERSAMPLING = 2
_COVER = [0] + [255] * 255  # any paint covers

# many classes share each range of hue, saturation and value (from, to of each): colour alone does not tell the class
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


class Canvas:
    """An image being painted, with the class and the number of the object at each pixel.

    Args:
        background: (3, H, W) float32, R, G, B in 0..255; modified by painting.

    Attributes:
        classes: (H, W) uint8, class of each pixel.
        objects: (H, W) uint8, number of the object at each pixel from 1 in order of painting, 0 where none.
    """

    def __init__(self, background: np.ndarray) -> None:
        self._colours = background
        self._count = 0
        _, height, width = background.shape
        self.classes = np.zeros((height, width), np.uint8)
        self.objects = np.zeros((height, width), np.uint8)

    def add_object(self, rng: np.random.Generator, label: int, centre: tuple[float, float], length: float) -> None:
        """Paint an object of class `label`, 1..20, over the image; its centre (x, y) and longer side are in pixels."""
        name = CLASS_NAMES[label]
        pen = self._pen(centre, _pose(rng, _TURNS.get(name, 0.1), length))
        _DRAW[name](pen, rng)
        strength = 0.25 if name in _WOOLLY else 0.1
        self._paint(rng, pen, object_colours(rng, name), strength, label)

    def add_clutter(self, rng: np.random.Generator, centre: tuple[float, float], length: float) -> None:
        """Paint a meaningless shape in colours of objects; the classes stay as they are, so paint it before objects."""
        pen = self._pen(centre, _pose(rng, np.pi, length))
        corners = int(rng.integers(3, 8))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radii = rng.uniform(0.4, 1, corners)
        outline = list(zip(radii * np.cos(angles), radii * np.sin(angles), strict=True))
        (pen.blob if rng.random() < 0.5 else pen.polygon)(outline, Paint.BODY)
        if rng.random() < 0.5:
            x, y, rx, ry = rng.uniform((-0.4, -0.4, 0.1, 0.1), (0.4, 0.4, 0.3, 0.3))
            pen.ellipse(x, y, rx, ry, Paint.ACCENT)
        colours = np.zeros((9, 3), np.float32)
        colours[[Paint.BODY, Paint.ACCENT]] = draw_colour(rng), draw_colour(rng)
        self._paint(rng, pen, colours, 0.2, 0)

    def _pen(self, centre: tuple[float, float], pose: np.ndarray) -> Pen:
        height, width = self.classes.shape
        size = (_OVERSAMPLING * width, _OVERSAMPLING * height)
        return Pen(size, _OVERSAMPLING * pose, _OVERSAMPLING * np.array(centre))

    def _paint(self, rng: np.random.Generator, pen: Pen, colours: np.ndarray, strength: float, label: int) -> None:
        bounds = pen.canvas.getbbox()
        if bounds is None:
            return  # all of it is outside the image
        left, top, right, bottom = (side // _OVERSAMPLING for side in bounds)
        right, bottom = min(right + 1, self.classes.shape[1]), min(bottom + 1, self.classes.shape[0])
        times = _OVERSAMPLING
        part = pen.canvas.crop((left * times, top * times, right * times, bottom * times))
        cover = np.asarray(part.point(_COVER).reduce(times)) * np.float32(1 / 255)  # (h, w)
        part.putpalette(np.rint(colours).astype(np.uint8).tobytes())
        mean = np.asarray(part.convert("RGB").reduce(times)).transpose(2, 0, 1)  # (3, h, w), black beside the object
        shape = (bottom - top, right - left)
        light = np.linspace(1.12, 0.86, shape[0], dtype=np.float32)[:, None]  # from above
        shading = light + np.float32(strength) * noise(rng, shape, rng.uniform(4, 14), 2)  # (h, w)
        place = (slice(top, bottom), slice(left, right))
        view = self._colours[:, *place]
        view *= 1 - cover
        view += mean * shading
        if label:
            inside = cover >= 0.5
            self._count += 1
            self.classes[place][inside] = label
            self.objects[place][inside] = self._count

    def image(self, rng: np.random.Generator) -> np.ndarray:
        """Return the image under random light and with a little sensor noise: (H, W, 3) uint8, R, G, B."""
        gain = (rng.uniform(0.8, 1.1) * rng.uniform(0.94, 1.06, (3, 1, 1))).astype(np.float32)
        grain = rng.standard_normal(self.classes.shape, dtype=np.float32) * np.float32(rng.uniform(1, 5))
        seen = self._colours * gain + grain  # (3, H, W)
        planes = np.clip(seen, 0, 255, out=seen).astype(np.uint8)
        return np.ascontiguousarray(planes.transpose(1, 2, 0))  # (H, W, 3)

    def labels(self) -> np.ndarray:
        """Return the label map, with void along every object's contour as in VOC: (H, W) uint8, 0..20 or 255."""
        labels = self.classes.copy()
        edge_y = self.objects[1:] != self.objects[:-1]
        edge_x = self.objects[:, 1:] != self.objects[:, :-1]
        for side in (labels[1:], labels[:-1]):
            side[edge_y] = VOID
        for side in (labels[:, 1:], labels[:, :-1]):
            side[edge_x] = VOID
        return labels


def _pose(rng: np.random.Generator, turn: float, length: float) -> np.ndarray:
    """Draw a random pose, a (2, 2) matrix from object units to pixels: mirror, shear, stretch, turn and scale."""
    angle = rng.uniform(-turn, turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.exp(rng.uniform(-0.13, 0.13))
    shape = np.array([[stretch * rng.choice([-1, 1]), rng.uniform(-0.12, 0.12)], [0, 1 / stretch]])
    return length / 2 * rotation @ shape


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
