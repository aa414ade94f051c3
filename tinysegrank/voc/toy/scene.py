"""Toy scenes: a place, the things that belong there, some clutter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinysegrank.voc.classes import CLASS_NAMES
from tinysegrank.voc.toy.canvas import Canvas, draw_colour
from tinysegrank.voc.toy.textures import Texture, bricks, clouds, gradient, grain, planks, stripes, surface, tiles


class Theme(NamedTuple):
    """A kind of place: the classes found there, and the textures and colours of its wall (or sky) and floor.

    A colour is a range of hue, saturation and value: lowest and highest of each.
    """

    classes: tuple[str, ...]
    walls: tuple[Texture, ...]
    wall_colour: tuple[float, ...]
    floors: tuple[Texture, ...]
    floor_colour: tuple[float, ...]


THEMES = {
    "street": Theme(
        ("bicycle", "bus", "car", "motorbike", "person", "train"),
        (bricks, bricks, gradient, tiles), (0.0, 0.12, 0.1, 0.5, 0.4, 0.8),
        (grain, clouds), (0.0, 1.0, 0.0, 0.08, 0.3, 0.6),
    ),
    "room": Theme(
        ("chair", "diningtable", "sofa", "tvmonitor", "pottedplant", "cat", "bottle", "person"),
        (stripes, stripes, bricks, gradient, clouds), (0.0, 1.0, 0.05, 0.35, 0.55, 0.95),
        (planks, planks, tiles, grain), (0.04, 0.11, 0.2, 0.6, 0.3, 0.75),
    ),
    "pasture": Theme(
        ("cow", "horse", "sheep", "dog", "bird", "person"),
        (gradient, clouds), (0.5, 0.62, 0.1, 0.5, 0.65, 0.95),
        (grain, grain, clouds), (0.14, 0.36, 0.25, 0.7, 0.3, 0.7),
    ),
    "water": Theme(
        ("boat", "bird", "aeroplane", "person"),
        (gradient, clouds), (0.5, 0.65, 0.05, 0.45, 0.65, 0.95),
        (stripes, clouds, grain), (0.48, 0.66, 0.2, 0.7, 0.25, 0.7),
    ),
    "airfield": Theme(
        ("aeroplane", "aeroplane", "bird", "car", "bus", "person"),
        (gradient, clouds), (0.5, 0.65, 0.05, 0.5, 0.6, 0.98),
        (grain, clouds), (0.1, 0.36, 0.02, 0.4, 0.35, 0.7),
    ),
}  # fmt: skip
_ANY_TEXTURE = (bricks, clouds, gradient, grain, planks, stripes, tiles)
_ANY_COLOUR = (0.0, 1.0, 0.0, 0.8, 0.25, 0.95)
_STRANGE = 0.2  # share of places that look like none of the themes
_FLYING = ("aeroplane", "bird")
_LENGTH = {  # compact objects are smaller and thin ones longer, so that classes have similar areas
    "aeroplane": 1.2, "bicycle": 1.1, "bird": 1.15, "boat": 1.1, "bottle": 1.15, "bus": 0.85, "car": 1.05,
    "chair": 1.05, "person": 1.1, "sofa": 0.95, "train": 1.2, "tvmonitor": 0.75,
}  # fmt: skip


def draw_scene(rng: np.random.Generator, *, size: tuple[int, int] = (160, 240)) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene of one to four objects.

    image  | (H, W, 3) | uint8 | R, G, B
    labels | (H, W)    | uint8 | 0..20, or 255 along the contours

    The first object's class is one of the 20 with equal chances, the others belong to the same place; nearer objects
    hide farther ones.

    Args:
        rng: random generator of everything in the scene.
        size: shortest and longest side that an image may have, in pixels.
    """
    height, width = _sides(rng, size)
    main = str(rng.choice(CLASS_NAMES[1:]))
    places = [theme for theme in THEMES.values() if main in theme.classes]
    theme = places[int(rng.integers(len(places)))]
    horizon = int(height * rng.uniform(0.3, 0.7))
    canvas = Canvas(_background(rng, (height, width), theme, horizon))
    for _ in range(rng.integers(0, 7)):
        centre = (rng.uniform(0, width), rng.uniform(0, height))
        canvas.add_clutter(rng, centre, rng.uniform(0.06, 0.3) * height)
    others = [str(rng.choice(theme.classes)) for _ in range(rng.choice(4, p=[0.3, 0.35, 0.25, 0.1]))]
    lengths = [rng.uniform(0.6, 1.1), *(rng.uniform(0.25, 0.7) for _ in others)]
    scale = np.sqrt(height * width)
    objects = [_place(rng, name, length * scale * _LENGTH.get(name, 1.0), (height, width), horizon)
               for name, length in zip([main, *others], lengths, strict=True)]  # fmt: skip
    for label, centre, length in sorted(objects, key=lambda each: each[1][1] + each[2] / 2):  # by their feet
        canvas.add_object(rng, label, centre, length)
    return canvas.image(rng), canvas.labels()


def draw_object(rng: np.random.Generator, label: int, *, size: int) -> np.ndarray:
    """Draw one large object of class `label`, 1..20, on a background with clutter: (size, size, 3) uint8, R, G, B."""
    places = [theme for theme in THEMES.values() if CLASS_NAMES[label] in theme.classes]
    theme = places[int(rng.integers(len(places)))]
    canvas = Canvas(_background(rng, (size, size), theme, int(size * rng.uniform(0.3, 0.7))))
    for _ in range(rng.integers(0, 5)):
        canvas.add_clutter(rng, tuple(rng.uniform(0, size, 2)), rng.uniform(0.1, 0.35) * size)
    length = rng.uniform(0.5, 1.0) * size
    reach = (size - length) / 2 + 0.1 * size
    canvas.add_object(rng, label, tuple(size / 2 + rng.uniform(-reach, reach, 2)), length)
    return canvas.image(rng)


def _sides(rng: np.random.Generator, size: tuple[int, int]) -> tuple[int, int]:
    long = int(rng.integers((size[0] + size[1] + 1) // 2, size[1] + 1))
    short = max(size[0], round(long * rng.uniform(0.67, 0.8)))
    return (short, long) if rng.random() < 0.7 else (long, short)


def _background(rng: np.random.Generator, shape: tuple[int, int], theme: Theme, horizon: int) -> np.ndarray:
    if rng.random() < _STRANGE:
        theme = Theme(theme.classes, _ANY_TEXTURE, _ANY_COLOUR, _ANY_TEXTURE, _ANY_COLOUR)
    wall = theme.walls[int(rng.integers(len(theme.walls)))]
    floor = theme.floors[int(rng.integers(len(theme.floors)))]
    return np.concatenate([
        surface(rng, (horizon, shape[1]), wall, draw_colour(rng, (theme.wall_colour,))),
        surface(rng, (shape[0] - horizon, shape[1]), floor, draw_colour(rng, (theme.floor_colour,))),
    ], axis=1)  # fmt: skip


def _place(
    rng: np.random.Generator, name: str, length: float, shape: tuple[int, int], horizon: int
) -> tuple[int, tuple[float, float], float]:
    """Choose the centre, (x, y) in pixels, of an object of this length; return its class number, centre and length."""
    height, width = shape
    x = rng.uniform(0.15, 0.85) * width
    if name in _FLYING:
        y = rng.uniform(0.2, 0.7) * height
    else:  # feet between the horizon and a little below the image
        y = rng.uniform(horizon + 0.1 * height, 1.05 * height) - 0.4 * length
    return CLASS_NAMES.index(name), (x, max(y, 0.3 * height)), length
