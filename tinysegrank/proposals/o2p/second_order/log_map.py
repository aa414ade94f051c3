"""The logarithm of symmetric matrices, and their upper triangles as vectors.

Mean outer products are not a vector space: they form a curved cone. The log-Euclidean map flattens it, so that a linear
regression on the logarithms is meaningful. Source: Arsigny, Fillard, Pennec and Ayache, "Geometric means in a novel
vector space structure on symmetric positive-definite matrices", 2007.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def log_matrices(matrices: NDArray[np.float64], *, ridge: float = 1e-3) -> NDArray[np.float64]:
    """Return the logarithm of each matrix + ridge * identity.

    matrices | (R, n, n) | float64 | symmetric, no negative eigenvalues
    returns  | (R, n, n) | float64 | 0 where a matrix is 0, as for an empty region
    """
    values, vectors = np.linalg.eigh(matrices)
    logs = np.log(np.maximum(values, 0) + ridge)  # (R, n); rounding may leave an eigenvalue just below 0
    logs *= (matrices.diagonal(axis1=1, axis2=2).sum(axis=1) > 0)[:, None]
    return (vectors * logs[:, None, :]) @ vectors.swapaxes(1, 2)


def upper_triangles(matrices: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the entries on and above the diagonal, not rescaled: (R, n, n) -> (R, n (n + 1) / 2)."""
    n = matrices.shape[-1]
    row, column = np.triu_indices(n)
    return matrices.reshape(-1, n * n)[:, row * n + column].astype(np.float32)


def normalise_blocks(blocks: list[NDArray[np.float32]], *, power: float = 0.75) -> NDArray[np.float32]:
    """Scale the rows of B blocks to equal lengths, join the blocks, and raise each number's magnitude to a power.

    A block's rows are scaled to length 1 / sqrt(B), so that the joined rows have length 1 before the power is taken;
    signs are kept. A row of zeros stays zero, so that the joined row is shorter.

    blocks  | (R, D_b) each   | float32 |
    returns | (R, sum of D_b) | float32 |
    """
    joined = np.concatenate(blocks, axis=1)  # (R, D)
    start = 0
    for block in blocks:
        part = joined[:, start : start + block.shape[1]]
        length = np.sqrt(np.einsum("rd,rd->r", part, part) * len(blocks))
        part /= np.maximum(length, np.float32(1e-12))[:, None]
        start += block.shape[1]
    return np.copysign(np.abs(joined) ** np.float32(power), joined)
