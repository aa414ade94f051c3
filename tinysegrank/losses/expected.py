"""Expected intersection and union of a predicted and a true soft segmentation, from which the losses are computed.

Source: the supplement, section 2. It takes prediction and truth as independent, which makes the expectations products;
the losses are ratios of expectations, not expectations of ratios.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError
from tinysegrank.nn.arguments import check_floating, half_in_float32

SMALLEST_DIVISOR = 1e-12


class ExpectedCounts(NamedTuple):
    """Weighted sums over cells: three for each class, from which its union follows, and the total weight."""

    intersection: Array  # (K,) I, Eq. 24
    cardinality: Array  # (K,) I + U: the sum of prediction and truth
    mass: Array  # (K,) the sum of the truth
    weight: Array  # () the sum of the weights

    @property
    def union(self) -> Array:
        """Expected union of each class, (K,): cardinality minus intersection."""
        return self.cardinality - self.intersection  # Eq. 29


@half_in_float32
def expected_counts(q: Array, target: Array, weight: Array | None = None) -> ExpectedCounts:
    """Return the expected counts of a batch: weighted sums over all its cells.

    q       | (N, K, H, W)   | floating | predicted distributions, 0..1
    target  | (N, K, H, W)   | as q     | true distributions, 0..1
    weight  | (N, H, W)      | as q     | share of each cell that counts, 0 where void; None is 1 everywhere
    returns | ExpectedCounts | as q     | float32 where q is float16, whose sums would overflow at 65,504

    Raises:
        ShapeError: an array is not floating.
    """
    check_floating("expected_counts", q=q, target=target, **({} if weight is None else {"weight": weight}))
    xp = array_namespace(q)
    cells = cell_weights(q, weight)  # (N, 1, H, W)
    truth = cells * target
    over_cells = (0, 2, 3)
    return ExpectedCounts(
        intersection=xp.sum(q * truth, axis=over_cells),  # Eq. 24
        cardinality=xp.sum(cells * q + truth, axis=over_cells),
        mass=xp.sum(truth, axis=over_cells),
        weight=xp.sum(cells),
    )


def cell_weights(z: Array, weight: Array | None) -> Array:
    """Return the weights of the cells of z (N, K, H, W) as (N, 1, H, W); a weight of None becomes ones."""
    xp = array_namespace(z)
    N, _, H, W = z.shape
    if weight is None:
        return xp.ones((N, 1, H, W), dtype=z.dtype, device=device(z))
    return xp.reshape(weight, (N, 1, H, W))


def check_loss_arguments(loss: str, z: Array, target: Array, weight: Array | None, *, real: bool = False) -> None:
    """Refuse arrays that would broadcast to a wrong loss, and weights that are negative or NaN.

    Raises:
        ShapeError: an array is not floating (with `real`, not real floating), z is not (N, K, H, W), target has another
            shape, weight is not (N, H, W), dtypes differ, or a NumPy weight is negative or NaN.
    """
    weights = {} if weight is None else {"weight": weight}
    check_floating(loss, real=real, z=z, target=target, **weights)
    if z.ndim != 4 or z.shape != target.shape:
        raise ShapeError(f"{loss} takes z and target (N, K, H, W), not {tuple(z.shape)} and {tuple(target.shape)}")
    expected = (z.shape[0], *z.shape[2:])
    if weight is not None and tuple(weight.shape) != expected:
        raise ShapeError(f"{loss} takes weight (N, H, W) = {expected}, not {tuple(weight.shape)}")
    for name, array in {"target": target, **weights}.items():
        if array.dtype != z.dtype:
            raise ShapeError(f"{loss} takes arrays of one dtype; z is {z.dtype}, {name} {array.dtype}")
    if weight is not None and is_numpy_array(weight):
        check_weights(loss, weight)


def check_weights(where: str, weight: np.ndarray) -> None:
    """Refuse weights that are negative or NaN.

    Losses call this for NumPy arrays only: to check an array on a device, each step would have to wait for the device.
    `segnet.train` calls it before weights are moved to the device.

    Raises:
        ShapeError: a weight is negative or NaN; the message starts with `where`.
    """
    if not np.all(np.real(weight) >= 0):
        raise ShapeError(
            f"{where}: weight has an entry that is not at least 0; give the share of each cell that counts"
        )


def reciprocal(x: Array, *, smallest: float = SMALLEST_DIVISOR) -> tuple[Array, Array]:
    """Return 1 / x and its derivative; for x below `smallest`, return the tangent of 1 / x at `smallest` and its slope.

    So a ratio stays finite where its divisor underflows, and the derivative is always that of the value returned.

    x       | any shape | real floating | at least 0
    returns | two as x  | as x          | value and slope
    """
    xp = array_namespace(x)
    inverse = 1.0 / xp.maximum(x, xp.full_like(x, smallest))
    beyond = xp.where(x < smallest, 2.0 - x * inverse, xp.ones_like(x))
    return inverse * beyond, -inverse * inverse


def class_factors(mass: Array, *, min_mass: float, reduction: str) -> Array:
    """Return each class's factor in a loss: 1 ("sum") or 1 / n ("mean"), where n is the number of classes counted.

    Classes whose mass is below `min_mass` are not counted: their factor is 0.

    mass    | (K,) | real floating | target mass of each class, in cells
    returns | (K,) | as mass       |

    Raises:
        ShapeError: the reduction is unknown, or min_mass is negative or NaN.
    """
    xp = array_namespace(mass)
    if reduction not in ("mean", "sum"):
        raise ShapeError(f'reduction="{reduction}": choose "mean" (over the classes counted) or "sum"')
    if not min_mass >= 0:
        raise ShapeError(f"min_mass={min_mass} must be at least 0 cells")
    counted = xp.astype(mass >= min_mass, mass.dtype)
    if reduction == "sum":
        return counted
    number = xp.sum(counted)
    return counted / xp.maximum(number, xp.ones_like(number))
