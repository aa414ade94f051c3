"""The matrices of Winograd's short convolutions, built exactly from their interpolation points.

m outputs of a correlation with r taps are the coefficients of a product of polynomials, which m + r - 1 values fix:
one at each point, the last at infinity. So y = A^T (G g * B^T d), with m + r - 1 products where the definition takes
m r: B^T turns m + r - 1 neighbouring inputs into values, G the taps, and A^T the products into outputs. A map is
treated so in both directions, and each point in the plane is then one matrix product over the channels.

Source: Cook (1966) and Toom (1963); Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016). The
points were chosen among small fractions for the smallest error in float32 of forward and backward together: values
of a polynomial lose digits where the powers of a point are large or small, or where two points lie close.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

TILES = {3: (2, 5), 5: (2, 4)}  # for each number of taps, the numbers of outputs to choose from
KINDS = tuple((m, r) for r, sizes in TILES.items() for m in sizes)
POINTS = {  # of m + r - 1: the finite points, the other is infinity
    4: "0 1 -1",
    6: "0 2/3 -2/3 4/3 -4/3",
    7: "0 1 -1 1/2 2 -3/2",
    8: "0 1 -1 1/2 -1/2 2 -2",
}


class Matrices(NamedTuple):
    """F(m, r) in one dimension, in float64."""

    outputs: np.ndarray  # (m, m + r - 1), A^T
    taps: np.ndarray  # (m + r - 1, r), G
    inputs: np.ndarray  # (m + r - 1, m + r - 1), B^T


@lru_cache
def matrices(m: int, r: int) -> Matrices:
    """A^T, G and B^T of F(m, r): m outputs of r taps."""
    points = [Fraction(text) for text in POINTS[m + r - 1].split()]
    outputs = [[point**i for point in points] + [Fraction(i == m - 1)] for i in range(m)]
    taps, inputs = [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = _product([point - other for other in others])
        taps.append([point**i / scale for i in range(r)])
        inputs.append([*_polynomial(others), Fraction(0)])
    taps.append([Fraction(i == r - 1) for i in range(r)])
    inputs.append(_polynomial(points))
    return Matrices(*(np.array(rows, np.float64) for rows in (outputs, taps, inputs)))


def _product(factors: list[Fraction]) -> Fraction:
    result = Fraction(1)
    for factor in factors:
        result *= factor
    return result


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (x - root), the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [*(root * c for c in coefficients), Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients
