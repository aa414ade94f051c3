"""Transform matrices of Winograd convolutions F(m, r), computed exactly from their interpolation points.

F(m, r) computes m outputs of a correlation with r taps as y = A^T (G g * B^T d): B^T transforms the m + r - 1 inputs d,
G transforms the taps g, and A^T turns the entrywise product of the two into the outputs. This takes m + r - 1
multiplications instead of m r. The m + r - 1 entries are values of polynomials at as many points, the last of which is
infinity; A^T, G and B^T evaluate and interpolate the polynomials. In two dimensions the matrices are applied to rows
and columns, and the products at each of the (m + r - 1)^2 points, summed over channels, are one matrix product.

Source: Cook (1966) and Toom (1963); Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016). The
points were chosen among small fractions to minimise the float32 error of the forward and backward pass together: values
of a polynomial lose digits where the powers of a point are large or small, or where two points are close.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

TILES = {3: (2, 5), 5: (2, 4)}  # number of taps r to the possible numbers of outputs m
KINDS = tuple((m, r) for r, sizes in TILES.items() for m in sizes)
POINTS = {  # m + r - 1 to the finite points; one more is infinity
    4: "0 1 -1",
    6: "0 2/3 -2/3 4/3 -4/3",
    7: "0 1 -1 1/2 2 -3/2",
    8: "0 1 -1 1/2 -1/2 2 -2",
}


class Matrices(NamedTuple):
    """Matrices of the one-dimensional F(m, r), in float64."""

    outputs: np.ndarray  # (m, m + r - 1), A^T
    taps: np.ndarray  # (m + r - 1, r), G
    inputs: np.ndarray  # (m + r - 1, m + r - 1), B^T


@lru_cache
def matrices(m: int, r: int) -> Matrices:
    """Return A^T, G and B^T of F(m, r), for m outputs and r taps; POINTS must have m + r - 1."""
    points = [Fraction(text) for text in POINTS[m + r - 1].split()]
    outputs = [[point**i for point in points] + [Fraction(i == m - 1)] for i in range(m)]
    taps, inputs = [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = prod(point - other for other in others)
        taps.append([point**i / scale for i in range(r)])
        inputs.append([*_polynomial(others), Fraction(0)])
    taps.append([Fraction(i == r - 1) for i in range(r)])
    inputs.append(_polynomial(points))
    return Matrices(*(np.array(rows, np.float64) for rows in (outputs, taps, inputs)))


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Return the coefficients of the product of (x - root), constant term first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [*(root * c for c in coefficients), Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients
