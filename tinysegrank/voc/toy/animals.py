"""Toy animals and people, one drawing function per class: bird, cat, cow, dog, horse, person, sheep."""

from __future__ import annotations

import numpy as np

from tinysegrank.voc.toy.pen import Paint, Pen


def bird(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a bird: a drop-shaped body with a beak and a fan of a tail, perched, or flying with spread wings."""
    pen.polygon([(-0.45, 0.08), (-0.98, 0.12), (-1, 0.3), (-0.85, 0.4), (-0.4, 0.25)], Paint.SHADE)
    flying, lift = rng.random() < 0.5, rng.choice([-1, 1]) * rng.uniform(0.7, 1.0)
    if flying:
        pen.blob([(0.3, 0.0), (0.35, -0.6 * lift), (0.15, -lift), (-0.05, -0.7 * lift), (-0.1, 0.0)], Paint.SHADE)
    else:
        for x in (-0.08, 0.1):
            pen.stroke([(x, 0.35), (x + 0.03, 0.75), (x + 0.15, 0.77)], 0.05, Paint.ACCENT)
    pen.blob(
        [(0.55, -0.3), (0.5, 0.05), (0.25, 0.35), (-0.15, 0.42), (-0.55, 0.2), (-0.4, 0.0), (0.1, -0.2)], Paint.BODY
    )
    pen.blob([(0.45, 0.1), (0.2, 0.34), (-0.15, 0.38), (0.1, 0.18)], Paint.LIGHT)
    pen.ellipse(0.5, -0.3, 0.25, 0.24, Paint.BODY)
    pen.polygon([(0.7, -0.4), (1, -0.27), (0.7, -0.19)], Paint.ACCENT)
    pen.ellipse(0.58, -0.36, 0.055, 0.055, Paint.DARK)
    if flying:
        pen.blob(
            [(0.2, 0.1), (0.0, -0.65 * lift), (-0.45, -lift), (-0.5, -0.7 * lift), (-0.4, 0.1), (0, 0.2)], Paint.SHADE
        )
        for x in (-0.3, -0.15, 0.0):
            pen.stroke([(x + 0.05, -0.1 * lift), (x - 0.1, -0.55 * lift)], 0.035, Paint.BODY)
    else:
        pen.blob([(0.25, -0.05), (0.0, 0.22), (-0.6, 0.28), (-0.3, 0.0)], Paint.SHADE)


def cat(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a sitting cat: a pear-shaped body, a round head with pointed ears and whiskers, a curled tail."""
    reach = rng.uniform(0.6, 0.8)
    pen.stroke([(0.25, 0.85), (0.6, 0.8), (reach, 0.45), (reach - 0.08, 0.1), (reach - 0.22, 0.05)], 0.15, Paint.SHADE)
    pen.blob([(0, -0.3), (0.3, 0.0), (0.48, 0.6), (0.38, 0.95), (-0.38, 0.95), (-0.48, 0.6), (-0.3, 0.0)], Paint.BODY)
    pen.blob([(0, 0.0), (0.17, 0.25), (0.1, 0.6), (-0.1, 0.6), (-0.17, 0.25)], Paint.LIGHT)
    for side in (-1, 1):
        pen.box(-0.1 + 0.17 * side, 0.45, 0.1 + 0.17 * side, 0.97, Paint.BODY, 0.09)
        pen.stroke([(0.04 * side, 0.6), (0.04 * side, 0.95)], 0.025, Paint.SHADE)
        pen.polygon([(0.06 * side, -0.72), (0.34 * side, -1.0), (0.4 * side, -0.5)], Paint.BODY)
        pen.polygon([(0.16 * side, -0.72), (0.3 * side, -0.9), (0.34 * side, -0.62)], Paint.SKIN)
    pen.ellipse(0, -0.48, 0.42, 0.36, Paint.BODY)
    if rng.random() < 0.6:  # a tabby
        for x in (-0.12, 0, 0.12):
            pen.stroke([(x, -0.8), (x * 0.8, -0.64)], 0.05, Paint.SHADE)
        for y in (0.1, 0.3, 0.5):
            for side in (-1, 1):
                pen.stroke([(0.4 * side, y + 0.12), (0.22 * side, y + 0.07)], 0.05, Paint.SHADE)
    for side in (-1, 1):
        pen.ellipse(0.17 * side, -0.52, 0.085, 0.075, Paint.ACCENT)
        pen.ellipse(0.17 * side, -0.52, 0.03, 0.07, Paint.DARK)
        pen.ellipse(0.09 * side, -0.3, 0.11, 0.085, Paint.LIGHT)
        for y in (-0.36, -0.27):
            pen.stroke([(0.14 * side, -0.31), (0.52 * side, y)], 0.015, Paint.PALE)
    pen.polygon([(-0.06, -0.39), (0.06, -0.39), (0, -0.31)], Paint.SKIN)


def cow(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a cow: a heavy square body with patches and an udder, short legs, a broad muzzle, horns."""
    _legs(pen, (-0.68, -0.45, 0.22, 0.42), 0.3, 0.88, 0.15, Paint.SHADE, hoof=Paint.DARK)
    pen.stroke([(-0.82, -0.2), (-0.95, 0.1), (-0.92, 0.4)], 0.06, Paint.SHADE)
    pen.ellipse(-0.3, 0.42, 0.16, 0.11, Paint.SKIN)
    pen.blob([(-0.84, -0.3), (-0.4, -0.4), (0.2, -0.36), (0.55, -0.42), (0.62, 0.1), (0.45, 0.4), (-0.2, 0.46),
              (-0.75, 0.4), (-0.88, 0.1)], Paint.BODY)  # fmt: skip
    for _ in range(rng.integers(3, 6)):
        x, y, turn = rng.uniform(-0.65, 0.35), rng.uniform(-0.2, 0.22), rng.uniform(0, np.pi)
        pen.ellipse(x, y, rng.uniform(0.1, 0.2), rng.uniform(0.08, 0.15), Paint.ACCENT, turn)
    for tip in (0.5, 0.82):
        pen.stroke([(0.66, -0.56), (tip, -0.66), (tip - 0.02, -0.8)], 0.06, Paint.PALE)
    pen.ellipse(0.48, -0.46, 0.14, 0.07, Paint.SHADE, -0.4)
    pen.blob(
        [(0.5, -0.56), (0.72, -0.62), (0.9, -0.3), (1, -0.08), (0.86, 0.06), (0.7, 0.0), (0.54, -0.25)], Paint.BODY
    )
    pen.ellipse(0.89, -0.06, 0.13, 0.1, Paint.SKIN, 0.5)
    pen.ellipse(0.73, -0.38, 0.04, 0.04, Paint.DARK)


def dog(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a standing dog: a lean body, a long muzzle, hanging ears, a collar, the tail up."""
    _legs(pen, (-0.55, -0.38, 0.25, 0.42), 0.15, 0.88, 0.13, Paint.BODY, hoof=Paint.BODY)
    pen.stroke([(-0.6, 0.0), (-0.85, rng.uniform(-0.2, -0.05)), (-0.95, rng.uniform(-0.6, -0.3))], 0.12, Paint.BODY)
    pen.blob([(-0.65, 0.0), (-0.3, -0.12), (0.2, -0.1), (0.5, -0.25), (0.58, 0.05), (0.42, 0.4), (0, 0.28),
              (-0.45, 0.32), (-0.68, 0.2)], Paint.BODY)  # fmt: skip
    pen.blob([(0.2, 0.2), (0.5, 0.1), (0.42, 0.4), (0.1, 0.3)], Paint.LIGHT)
    pen.polygon([(0.25, -0.15), (0.33, -0.55), (0.65, -0.4), (0.58, 0.05)], Paint.BODY)
    pen.stroke([(0.3, -0.22), (0.6, -0.08)], 0.09, Paint.ACCENT)
    pen.ellipse(0.5, -0.55, 0.27, 0.22, Paint.BODY)
    pen.blob([(0.55, -0.65), (0.95, -0.55), (1, -0.42), (0.92, -0.34), (0.55, -0.35)], Paint.BODY)
    pen.ellipse(0.96, -0.52, 0.065, 0.055, Paint.DARK)
    pen.stroke([(0.93, -0.38), (0.72, -0.38)], 0.025, Paint.DARK)
    if rng.random() < 0.4:
        pen.ellipse(0.82, -0.3, 0.05, 0.1, Paint.SKIN)
    pen.ellipse(0.62, -0.6, 0.04, 0.04, Paint.DARK)
    pen.blob([(0.3, -0.72), (0.44, -0.66), (0.46, -0.4), (0.36, -0.2), (0.24, -0.35)], Paint.SHADE)  # the ear


def horse(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a horse: long legs, a slender body, a long raised neck with its mane, a long head, a tail of hair."""
    nod = rng.uniform(-0.08, 0.12)
    _legs(pen, (-0.6, -0.42, 0.2, 0.38), 0.1, 0.97, 0.1, Paint.SHADE, hoof=Paint.DARK)
    pen.stroke([(-0.66, -0.2), (-0.84, -0.1), (-0.9, 0.45)], 0.13, Paint.ACCENT)
    pen.blob([(-0.72, -0.15), (-0.4, -0.27), (0.05, -0.2), (0.4, -0.27), (0.5, 0.0), (0.3, 0.22), (-0.1, 0.17),
              (-0.5, 0.22), (-0.72, 0.1)], Paint.BODY)  # fmt: skip
    pen.blob([(0.1, -0.2), (0.38, -0.6), (0.52, -0.9 + nod), (0.7, -0.8 + nod), (0.6, -0.45), (0.5, 0.02), (0.3, 0.1)],
             Paint.BODY)  # fmt: skip
    pen.stroke([(0.52, -0.9 + nod), (0.35, -0.6), (0.15, -0.28)], 0.12, Paint.ACCENT)
    for x in (0.5, 0.6):
        pen.polygon([(x, -0.86 + nod), (x + 0.03, -1.04 + nod), (x + 0.1, -0.86 + nod)], Paint.BODY)
    pen.blob([(0.52, -0.92 + nod), (0.7, -0.88 + nod), (0.92, -0.6 + nod), (0.96, -0.45 + nod), (0.85, -0.4 + nod),
              (0.62, -0.62 + nod)], Paint.BODY)  # fmt: skip
    pen.ellipse(0.9, -0.47 + nod, 0.07, 0.07, Paint.SHADE)
    pen.ellipse(0.68, -0.76 + nod, 0.032, 0.032, Paint.DARK)


def person(pen: Pen, rng: np.random.Generator) -> None:
    """Draw an upright person: head with hair, a shirt, two arms, two legs in trousers, shoes."""
    stride, swing = rng.uniform(0.02, 0.25), rng.uniform(-0.2, 0.35)
    for side in (-1, 1):
        foot = (0.1 + stride) * side
        pen.stroke([(0.09 * side, 0.15), (0.5 * (foot + 0.1 * side), 0.55), (foot, 0.9)], 0.19, Paint.ACCENT)
        pen.ellipse(foot + 0.05, 0.95, 0.13, 0.06, Paint.DARK)
        raised = rng.random() < 0.2
        hand = (0.5 * side, -0.75) if raised else ((0.33 + 0.3 * abs(swing)) * side, 0.2 - 0.2 * swing)
        elbow = ((0.4 + 0.1 * swing) * side, -0.2 if not raised else -0.35)
        pen.stroke([(0.22 * side, -0.43), elbow, hand], 0.14, Paint.SHADE)
        pen.ellipse(*hand, 0.075, 0.075, Paint.SKIN)
    pen.blob(
        [(-0.26, -0.5), (0, -0.54), (0.26, -0.5), (0.27, -0.1), (0.22, 0.25), (-0.22, 0.25), (-0.27, -0.1)], Paint.BODY
    )
    pen.box(-0.07, -0.65, 0.07, -0.48, Paint.SKIN)
    long_hair = rng.random() < 0.5
    pen.ellipse(0, -0.8, 0.2, 0.2, Paint.DARK)
    if long_hair:
        pen.box(-0.2, -0.82, 0.2, -0.52, Paint.DARK, 0.08)
    pen.ellipse(0, -0.76, 0.15, 0.18, Paint.SKIN)
    for side in (-1, 1):
        pen.ellipse(0.06 * side, -0.78, 0.022, 0.022, Paint.DARK)
    pen.stroke([(-0.05, -0.67), (0.05, -0.67)], 0.02, Paint.DARK)


def sheep(pen: Pen, rng: np.random.Generator) -> None:
    """Draw a sheep: a cloud of wool on thin dark legs, with a small dark face."""
    _legs(pen, (-0.45, -0.3, 0.2, 0.35), 0.3, 0.8, 0.09, Paint.DARK, hoof=Paint.DARK)
    angles = np.linspace(0, 2 * np.pi, 13, endpoint=False) + rng.uniform(0, 0.5)
    for angle in angles:
        radius = rng.uniform(0.17, 0.24)
        pen.ellipse(-0.05 + 0.56 * np.cos(angle), 0.05 + 0.3 * np.sin(angle), radius, radius, Paint.BODY)
    pen.ellipse(-0.05, 0.05, 0.6, 0.36, Paint.BODY)
    for _ in range(14):  # curls
        x, y = rng.uniform(-0.5, 0.4), rng.uniform(-0.22, 0.3)
        bend = 0.06 * np.array([[-1, 0], [-0.5, 0.7], [0.5, 0.7], [1, 0]])
        pen.stroke(bend + np.array([x, y]), 0.025, Paint.SHADE)
    pen.ellipse(0.5, -0.26, 0.14, 0.055, Paint.DARK, -0.3)
    pen.ellipse(0.72, -0.14, 0.18, 0.24, Paint.DARK, -0.35)
    pen.ellipse(0.62, -0.36, 0.18, 0.12, Paint.BODY)
    pen.ellipse(0.75, -0.2, 0.035, 0.035, Paint.PALE)


def _legs(
    pen: Pen, places: tuple[float, ...], top: float, bottom: float, width: float, paint: Paint, *, hoof: Paint
) -> None:
    for x in places:
        pen.polygon([(x - width * 0.7, top), (x + width * 0.7, top), (x + width / 2, bottom), (x - width / 2, bottom)],
                    paint)  # fmt: skip
        pen.box(x - width / 2, bottom - 0.08, x + width * 0.6, bottom, hoof)
