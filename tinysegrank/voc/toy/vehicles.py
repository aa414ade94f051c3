"""Toy vehicles, one drawing function per class: aeroplane, bicycle, boat, bus, car, motorbike, train."""

from __future__ import annotations

import numpy as np

from tinysegrank.voc.toy.pen import Paint, Pen


def aeroplane(pen: Pen, rng: np.random.Generator) -> None:
    """Draw an aeroplane seen from above: a slim fuselage, swept wings with engines, a tail."""
    span, sweep = rng.uniform(0.7, 0.95), rng.uniform(0.15, 0.5)
    for side in (-1, 1):
        pen.polygon(
            [(0.3, 0.1 * side), (0.05 - sweep, span * side), (-0.18 - sweep, span * side), (-0.22, 0.1 * side)],
            Paint.SHADE,
        )
        pen.polygon([(-0.68, 0.05 * side), (-0.85, 0.36 * side), (-1, 0.36 * side), (-0.93, 0.05 * side)], Paint.SHADE)
        for along in (0.35, 0.62)[: rng.integers(1, 3)]:
            x = 0.12 - sweep * along
            pen.box(x - 0.12, span * along * side - 0.05, x + 0.14, span * along * side + 0.05, Paint.DARK, 0.04)
    pen.blob([(1, 0), (0.8, 0.11), (0.2, 0.15), (-0.6, 0.1), (-1, 0.02), (-1, -0.02), (-0.6, -0.1), (0.2, -0.15),
              (0.8, -0.11)], Paint.BODY)  # fmt: skip
    pen.polygon([(0.78, -0.08), (0.9, -0.05), (0.9, 0.05), (0.78, 0.08)], Paint.GLASS)
    pen.stroke([(-0.55, 0), (0.65, 0)], 0.05, Paint.ACCENT)
    pen.polygon([(-0.7, 0.02), (-1, 0.04), (-1, -0.04), (-0.7, -0.02)], Paint.ACCENT)


def bicycle(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a bicycle: two thin wheels with spokes, a diamond frame, saddle and handlebar."""
    radius = rng.uniform(0.38, 0.44)
    rear, front, crank = (-0.55, 0.25), (0.56, 0.25), (-0.05, 0.27)
    saddle, head = (-0.2, -0.27), (0.36, -0.3)
    for x, y in (rear, front):
        for angle in np.arange(5) * np.pi / 5 + rng.uniform(0, 1):
            dx, dy = radius * np.cos(angle), radius * np.sin(angle)
            pen.stroke([(x - dx, y - dy), (x + dx, y + dy)], 0.025, Paint.PALE)
        pen.ring(x, y, radius, 0.1, Paint.DARK)
    for tube in ((rear, crank, head, saddle, rear), (crank, (-0.25, -0.4)), (front, (0.32, -0.45))):
        pen.stroke(tube, 0.085, Paint.BODY)
    pen.stroke([(-0.36, -0.42), (-0.12, -0.42)], 0.11, Paint.DARK)
    pen.stroke([(0.2, -0.5), (0.34, -0.48), (0.46, -0.4)] if rng.random() < 0.5 else [(0.18, -0.45), (0.42, -0.5)],
               0.08, Paint.DARK)  # fmt: skip
    pen.ellipse(*crank, 0.1, 0.1, Paint.ACCENT)


def boat(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a boat: a hull, with a mast and two sails or with a cabin and a funnel."""
    if rng.random() < 0.6:
        top = rng.uniform(-1, -0.85)
        pen.stroke([(0.02, 0.4), (0.02, top)], 0.05, Paint.DARK)
        pen.blob([(0.07, top + 0.05), (0.45, -0.2), (0.72, 0.27), (0.4, 0.33), (0.07, 0.3)], Paint.PALE)
        pen.polygon([(-0.03, top + 0.15), (-0.03, 0.28), (-0.6, 0.28)], Paint.LIGHT)
        pen.polygon([(0.02, top - 0.04), (0.02, top + 0.08), (-0.2, top + 0.02)], Paint.ACCENT)
    else:
        pen.box(-0.5, -0.05, 0.35, 0.55, Paint.PALE, 0.05)
        pen.box(-0.3, -0.35, 0.15, 0.0, Paint.LIGHT, 0.05)
        pen.box(-0.2, -0.65, 0.02, -0.33, Paint.ACCENT)
        for x in (-0.4, -0.15, 0.1):
            pen.ellipse(x, 0.16, 0.08, 0.08, Paint.GLASS)
    pen.blob([(-0.9, 0.35), (0, 0.42), (0.98, 0.28), (0.8, 0.55), (0.55, 0.75), (-0.5, 0.75), (-0.78, 0.6)], Paint.BODY)
    pen.stroke([(-0.82, 0.45), (0, 0.5), (0.85, 0.42)], 0.06, Paint.ACCENT)


def bus(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a bus: a tall long box with a row of windows, a door, a stripe and two wheels."""
    roof = rng.uniform(-0.6, -0.5)
    pen.box(-1, roof, 1, 0.42, Paint.BODY, 0.1)
    pen.box(-0.99, 0.28, 0.99, 0.44, Paint.SHADE)
    windows = int(rng.integers(4, 7))
    left, width = -0.92, 1.46 / windows
    for number in range(windows):
        pen.box(left + number * width, roof + 0.14, left + (number + 0.85) * width, -0.05, Paint.GLASS, 0.03)
    pen.box(0.62, roof + 0.14, 0.78, 0.36, Paint.GLASS, 0.02)  # the door
    pen.polygon([(0.84, roof + 0.14), (0.98, roof + 0.16), (0.98, 0.0), (0.84, 0.0)], Paint.GLASS)
    pen.box(-0.97, 0.05, 0.58, 0.15, Paint.ACCENT)
    for x in (-0.6, 0.45):
        _wheel(pen, x, 0.43, 0.17)
    pen.box(0.9, 0.2, 0.99, 0.28, Paint.PALE)


def car(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a car: a low body with bonnet and boot, a cabin with two windows, two wheels."""
    roof, rear = rng.uniform(-0.46, -0.36), rng.uniform(-0.75, -0.5)
    pen.blob([(rear - 0.12, 0.0), (rear + 0.1, roof), (-0.1, roof - 0.05), (0.2, roof), (0.52, 0.0), (0, 0.1)],
             Paint.BODY)  # fmt: skip
    pen.blob([(-1, 0.1), (-0.9, -0.08), (-0.3, -0.12), (0.5, -0.1), (0.9, 0.0), (1, 0.15), (0.97, 0.34), (0, 0.38),
              (-0.97, 0.34)], Paint.BODY)  # fmt: skip
    pen.polygon([(rear + 0.02, -0.05), (rear + 0.17, roof + 0.09), (-0.14, roof + 0.07), (-0.14, -0.05)], Paint.GLASS)
    pen.polygon([(-0.06, -0.05), (-0.06, roof + 0.07), (0.15, roof + 0.1), (0.38, -0.05)], Paint.GLASS)
    pen.stroke([(-0.1, 0.0), (-0.1, 0.28)], 0.025, Paint.SHADE)
    pen.box(-0.96, 0.22, 0.96, 0.36, Paint.SHADE, 0.05)
    for x in (-0.58, 0.6):
        _wheel(pen, x, 0.32, 0.21)
    pen.ellipse(0.92, 0.1, 0.06, 0.06, Paint.PALE)
    pen.box(-0.99, 0.05, -0.92, 0.15, Paint.ACCENT)


def motorbike(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a motorbike: two fat wheels, a tank, a seat, an engine with its exhaust, a fork with the handlebar."""
    rear, front = (-0.58, 0.32), (0.6, 0.32)
    for x, y in (rear, front):
        _wheel(pen, x, y, 0.36, rim=0.5)
    pen.stroke([front, (0.36, -0.35)], 0.1, Paint.PALE)
    pen.polygon([(-0.35, 0.0), (0.35, -0.1), (0.25, 0.45), (-0.3, 0.45)], Paint.SHADE)  # the engine
    for y in (0.08, 0.2, 0.32):
        pen.stroke([(-0.15, y), (0.18, y - 0.03)], 0.04, Paint.PALE)
    pen.stroke([(0.0, 0.42), (-0.5, 0.45), (-0.95, rng.uniform(0.3, 0.45))], 0.1, Paint.PALE)
    pen.blob([(-0.15, -0.2), (0.1, -0.38), (0.4, -0.3), (0.38, -0.05), (0, 0.02)], Paint.BODY)  # the tank
    pen.blob([(-0.95, -0.2), (-0.6, -0.25), (-0.1, -0.12), (-0.2, 0.05), (-0.7, 0.0)], Paint.DARK)  # the seat
    pen.blob([(-1, -0.08), (-0.72, -0.1), (-0.35, 0.05), (-0.5, 0.15)], Paint.BODY)
    pen.stroke([(0.36, -0.35), (0.2, -0.55)], 0.09, Paint.DARK)
    pen.ellipse(0.5, -0.28, 0.12, 0.13, Paint.ACCENT)
    if rng.random() < 0.5:
        pen.polygon([(0.42, -0.36), (0.62, -0.3), (0.34, -0.7)], Paint.GLASS)


def train(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a train: a locomotive with a sloping nose and a carriage, many small wheels, on a rail."""
    roof = rng.uniform(-0.34, -0.26)
    pen.stroke([(-1, 0.37), (1, 0.37)], 0.04, Paint.DARK)
    joint = rng.uniform(-0.3, 0.0)
    pen.box(-1, roof, joint - 0.04, 0.24, Paint.BODY, 0.04)
    pen.box(joint - 0.06, roof + 0.12, joint + 0.06, 0.2, Paint.DARK)
    pen.blob([(joint + 0.02, roof), (0.6, roof), (0.85, roof + 0.12), (1, 0.1), (0.98, 0.22), (0.6, 0.25),
              (joint + 0.02, 0.24)], Paint.BODY)  # fmt: skip
    for x in np.arange(-0.94, 0.56, 0.14):
        if abs(x + 0.05 - joint) > 0.1:
            pen.box(x, roof + 0.1, x + 0.1, roof + 0.27, Paint.GLASS, 0.02)
    pen.polygon([(0.66, roof + 0.06), (0.82, roof + 0.14), (0.92, roof + 0.3), (0.68, roof + 0.3)], Paint.GLASS)
    pen.stroke([(-0.98, 0.1), (joint - 0.06, 0.1)], 0.07, Paint.ACCENT)
    pen.stroke([(joint + 0.06, 0.1), (0.95, 0.1)], 0.07, Paint.ACCENT)
    for x in (-0.9, -0.74, joint - 0.3, joint - 0.15, joint + 0.18, joint + 0.34, 0.62, 0.78):
        pen.ellipse(x, 0.28, 0.075, 0.075, Paint.DARK)
        pen.ellipse(x, 0.28, 0.03, 0.03, Paint.PALE)
    pen.stroke([(-0.6, roof), (-0.48, roof - 0.14), (-0.36, roof)], 0.03, Paint.DARK)


def _wheel(pen: Pen, x: float, y: float, radius: float, rim: float = 0.55) -> None:
    pen.ellipse(x, y, radius, radius, Paint.DARK)
    pen.ellipse(x, y, radius * rim, radius * rim, Paint.PALE)
    pen.ellipse(x, y, radius * rim * 0.4, radius * rim * 0.4, Paint.DARK)
