"""Textures of toy scenes: shading fields in about [-1, 1], and surfaces in shades of a colour."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

Shape = tuple[int, int]


def noise(rng: np.random.Generator, shape: Shape, cell: float, octaves: int = 3) -> np.ndarray:
    """Add up `octaves` smooth random fields, each with half the cell size and half the amplitude of the one before.

    The largest cells have `cell` pixels, and no cell is smaller than a pixel: (H, W) float32, about -1..1.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    strength = 0.8 / (1 - 0.5**octaves)  # the amplitudes add up to 1.6; the sum of fields rarely exceeds 1
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        grid = rng.random((int(height / size) + 2, int(width / size) + 2), dtype=np.float32)
        box = (0, 0, 1 + width / size, 1 + height / size)  # cells have the same size for every shape
        field = Image.fromarray(2 * grid - 1).resize((width, height), Image.Resampling.BICUBIC, box=box)
        total += np.float32(strength * 0.5**octave) * np.asarray(field)
    return total


def stripes(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return straight stripes in any direction, soft or hard: (H, W) float32, -1..1."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 26)
    y, x = _coordinates(shape)
    step = 2 * np.pi / period
    wave = np.sin(x * np.float32(step * np.cos(angle)) + y * np.float32(step * np.sin(angle)))
    return np.clip(wave * np.float32(rng.choice([1, 4])), -1, 1)


def gradient(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return a ramp from top to bottom, slightly tilted, over faint clouds: (H, W) float32, about -1..1."""
    y, x = _coordinates(shape)
    ramp = 2 * y / shape[0] - 1 + np.float32(rng.uniform(-0.5, 0.5)) * (2 * x / shape[1] - 1)
    return ramp * np.float32(0.8) + np.float32(0.35) * noise(rng, shape, 60)


def bricks(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return bricks of differing brightness between lighter joints: (H, W) float32, -1..1."""
    height = int(rng.integers(8, 16))
    width = int(height * rng.uniform(1.6, 2.6))
    y, x = np.ogrid[: shape[0], : shape[1]]
    row = y // height
    along = x + (row % 2) * (width // 2)
    shades = rng.uniform(-1, 0.2, (int(row.max()) + 1, int(along.max()) // width + 1)).astype(np.float32)
    field: np.ndarray = shades[row, along // width]
    field[((y % height < 1) | (along % width < 1))] = 1
    return field


def tiles(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return a chequerboard: (H, W) float32, -0.8 or 0.8."""
    side = int(rng.integers(9, 24))
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.where((y // side + x // side) % 2, np.float32(-0.8), np.float32(0.8))


def planks(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return boards with their grain, dark at the joints: (H, W) float32, about -1..1."""
    height = int(rng.integers(9, 18))
    y = np.arange(shape[0])[:, None]
    grain = noise(rng, (shape[0], max(shape[1] // 8, -(-shape[1] // 9), 2)), 3, 2)  # at 9 pixels per cell, enough
    field: np.ndarray = np.repeat(grain, 9, axis=1)[:, : shape[1]] * np.float32(0.6)
    field = field + rng.uniform(-0.4, 0.4, y.max() // height + 1).astype(np.float32)[y // height]
    field[y[:, 0] % height == 0] = -1
    return field


def clouds(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return coarse noise: (H, W) float32, about -1..1."""
    return noise(rng, shape, rng.uniform(25, 70), 5)


def grain(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Return fine noise, as grass, gravel or carpet: (H, W) float32, about -1..1."""
    return noise(rng, shape, rng.uniform(4, 12), 3)


def _coordinates(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)[None, :]


Texture = Callable[[np.random.Generator, Shape], np.ndarray]


def surface(rng: np.random.Generator, shape: Shape, texture: Texture, colour: np.ndarray) -> np.ndarray:
    """Draw a texture in shades of a colour, mostly darker at -1 and lighter at 1.

    colour  | (3,)       | float32 | R, G, B in 0..255
    returns | (3, H, W)  | float32 | R, G, B, about 0..255
    """
    change = (colour * rng.uniform(0.12, 0.4) + rng.uniform(-18, 18, 3)).astype(np.float32)
    return colour[:, None, None] + change[:, None, None] * texture(rng, shape)
