"""CIE Lab in integer arithmetic by lookup tables, in which SLIC measures colours, and Gaussian smoothing.

Integers give the same sum in any order, so the Numba versions in `fast` vectorise well and still agree to the bit with
the functions here.
"""

from __future__ import annotations

import functools

import numpy as np

UNIT = 32  # integer steps per unit of Lab, where L is in 0..100, a and b in -108..99
LIGHT_BITS, MIX_BITS = 14, 10  # light is summed with 24 bits, and looked up in the root table with 14
ROOT_BITS = 14  # fractional bits in the root table
WEIGHT_BITS = 16  # weights of the Gaussian sum to 2**16


@functools.cache
def light_table() -> np.ndarray:
    """Return the share of each value of the channels R, G and B in a pixel's X, Y and Z, which are relative to white.

    returns | (3, 3, 256) | int32 | index: X, Y or Z; R, G or B; value. The three shares of white sum to about 2**24

    Source: IEC 61966-2-1 (sRGB).
    """
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)  # (256,)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # to X, Y, Z
    matrix /= matrix.sum(axis=1, keepdims=True)  # relative to white, so that grey has a = b = 0
    return np.rint(matrix[:, :, None] * linear * 2 ** (LIGHT_BITS + MIX_BITS)).astype(np.int32)


@functools.cache
def root_table() -> np.ndarray:
    """Return the cube root that CIE's Lab uses, with a straight line near 0, for levels of light from 0 to 1.

    returns | (2**14 + 1,) | int16 | 2**14 times the root; levels are 2**-14 apart, 1 is white
    """
    light = np.arange(2**LIGHT_BITS + 1) / 2**LIGHT_BITS
    root = np.where(light > (6 / 29) ** 3, np.cbrt(light), light * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.rint(root * 2**ROOT_BITS).astype(np.int16)


def lab_units(rgb: np.ndarray, light: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Convert sRGB to Lab, with channels first, as later steps work along rows of one channel.

    rgb     | (H, W, 3)   | uint8 | 0..255
    light   | (3, 3, 256) | int32 | `light_table()`
    root    | (16385,)    | int16 | `root_table()`
    returns | (3, H, W)   | int16 | 32 L, 32 a, 32 b; within 0.3 units of Lab, within 0.1 except in the darkest colours

    Source: CIE 15, L*a*b* of 1976 under D65.
    """
    r, g, b = (rgb[:, :, channel] for channel in range(3))
    half = 1 << (MIX_BITS - 1)
    fx, fy, fz = (
        root[(of_r[r] + of_g[g] + of_b[b] + half) >> MIX_BITS].astype(np.int32) for of_r, of_g, of_b in light
    )  # (H, W) each
    shift = ROOT_BITS - UNIT.bit_length() + 1
    half = 1 << (shift - 1)
    planes = (116 * fy - (16 << ROOT_BITS), 500 * (fx - fy), 200 * (fy - fz))
    return np.stack([(plane + half) >> shift for plane in planes]).astype(np.int16)  # (3, H, W)


def gaussian_weights(deviation: float) -> np.ndarray:
    """Return a Gaussian out to R = three standard deviations, rounded up: (2 R + 1,) integer weights with sum 2**16."""
    radius = int(np.ceil(3 * deviation))
    bell = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    weights = np.rint(bell / bell.sum() * 2**WEIGHT_BITS).astype(np.int32)
    weights[radius] += 2**WEIGHT_BITS - weights.sum()  # the remainder of rounding
    return weights


def smooth(planes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Filter vertically, then horizontally, rounding each time; the image's border is repeated outwards.

    planes  | (C, H, W)  | int16 | absolute value below 2**14
    weights | (2 R + 1,) | int32 | sum 2**16, which counts as 1
    returns | (C, H, W)  | int16 | weighted means, as planes
    """
    radius = len(weights) // 2
    for axis in (1, 2):
        margin = [(radius, radius) if each == axis else (0, 0) for each in range(3)]
        padded = np.pad(planes.astype(np.int32), margin, mode="edge")
        length = planes.shape[axis]
        total = np.full(planes.shape, 1 << (WEIGHT_BITS - 1), np.int32)
        for shift, weight in enumerate(weights):
            total += weight * padded[(slice(None),) * axis + (slice(shift, shift + length),)]
        planes = (total >> WEIGHT_BITS).astype(np.int16)
    return planes
