"""Second-order average pooling: the mean outer product of the local descriptors inside each segment.

A descriptor is its texture and colours, d numbers, and six more that place it in the segment's bounding box. These six
are A p, where p = (x, y, side, 1) has its point and the side of its cell, and the matrix A depends on the box alone. So
the outer products of (d numbers, p) are summed over each superpixel once. The sum B of a segment is that of its
superpixels; outside the segment it is the image's sum minus B. With T = [[1, 0], [0, A]], the sum of the placed
descriptors' outer products is T B T^T, and its cost does not depend on the segment's size.

Mean outer products are not a vector space: they form a curved cone. Their logarithms (Arsigny, Fillard, Pennec and
Ayache, "Geometric means in a novel vector space structure on symmetric positive-definite matrices", 2007) flatten it,
so that a linear regression on them is meaningful.

Source: Carreira, Caseiro, Batista and Sminchisescu, "Semantic segmentation with second-order pooling", ECCV 2012.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tinysegrank.errors import ShapeError
from tinysegrank.proposals.o2p.second_order.local import PLACES, LocalDescriptors

PLACED = 6  # numbers for a descriptor's place in a box
FIGURE_SIZE, GROUND_SIZE = 8.0, 24.0  # factors on the cell size, in a segment's box and in the whole image


def superpixel_sums(descriptors: LocalDescriptors, superpixels: np.ndarray) -> np.ndarray:
    """Sum the outer products of (texture, colours, place) over the grid points of each superpixel.

    superpixels | (H, W)            | integer | 0..S-1
    returns     | (S, d + 4, d + 4) | float64 | 0 for superpixels without grid points; [..., -1, -1] is their number

    d is the length of texture and colours together.

    Raises:
        ShapeError: a descriptor's place is outside the image.
    """
    x, y = descriptors.places[:, :2].astype(np.intp).T
    if len(x) and (x.max() >= superpixels.shape[1] or y.max() >= superpixels.shape[0]):
        raise ShapeError(f"superpixels {superpixels.shape} are of another image than the descriptors")
    number = superpixels[y, x]
    order = np.argsort(number, kind="stable")
    rows = np.concatenate([part[order] for part in descriptors], axis=1)  # (N, d + 4)
    edges = np.searchsorted(number[order], np.arange(int(superpixels.max()) + 2))  # (S + 1,)
    sums = np.empty((len(edges) - 1, rows.shape[1], rows.shape[1]))
    for s, (start, stop) in enumerate(pairwise(edges)):
        np.matmul(rows[start:stop].T, rows[start:stop], out=sums[s])
    return sums


def bounding_boxes(members: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    """Return the bounding box of each segment.

    members     | (R, S) | bool    | superpixels of each segment, at least one each
    superpixels | (H, W) | integer | 0..S-1
    returns     | (R, 4) | float64 | first column, first row, columns, rows
    """
    from scipy.ndimage import find_objects

    far = max(superpixels.shape)
    boxes = np.array(  # (S, 4): first column, first row, last column, last row; numbers that do not occur are nowhere
        [
            (far, far, -1, -1) if box is None else (box[1].start, box[0].start, box[1].stop - 1, box[0].stop - 1)
            for box in find_objects(superpixels.astype(np.int32) + 1, max_label=members.shape[1])
        ]
    )
    first = np.where(members[:, :, None], boxes[:, :2], far).min(axis=1)  # (R, 2)
    last = np.where(members[:, :, None], boxes[:, 2:], -1).max(axis=1)
    return np.concatenate([first, last - first + 1], axis=1).astype(np.float64)


def placements(boxes: np.ndarray, size: float) -> np.ndarray:
    """Return the matrices that map (x, y, side, 1) to the place in each box, side being that of a descriptor's cell.

    boxes   | (R, 4)    | floating | first column x0, first row y0, columns w, rows h
    size    |           | float    | factor s on the side
    returns | (R, 6, 4) | float64  | to (x-x0)/w, (y-y0)/h, (x-x0)/h, (y-y0)/w, side*s/h, side*s/w
    """
    x0, y0, w, h = boxes.T
    A = np.zeros((len(boxes), PLACED, len(PLACES)))
    for row, (column, start, length) in enumerate(((0, x0, w), (1, y0, h), (0, x0, h), (1, y0, w))):
        A[:, row, column], A[:, row, 3] = 1 / length, -start / length
    A[:, 4, 2], A[:, 5, 2] = size / h, size / w
    return A


def placed_averages(sums: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Convert sums of outer products of (d numbers, x, y, side, 1) to mean outer products of placed descriptors.

    sums    | (R, d + 4, d + 4) | float64 | of all local descriptors of a region
    A       | (R or 1, 6, 4)    | float64 | from `placements`; 1 for all regions
    returns | (R, d + 6, d + 6) | float64 | symmetric, no negative eigenvalues; 0 where the region has no descriptor
    """
    d = sums.shape[1] - len(PLACES)
    count = np.round(sums[:, -1, -1])
    turned = A.swapaxes(1, 2)  # (R, 4, 6)
    means = np.empty((len(sums), d + PLACED, d + PLACED))
    means[:, :d, :d] = sums[:, :d, :d]
    means[:, :d, d:] = sums[:, :d, d:] @ turned  # (R, d, 6)
    means[:, d:, :d] = means[:, :d, d:].swapaxes(1, 2)
    means[:, d:, d:] = A @ sums[:, d:, d:] @ turned  # (R, 6, 6)
    means *= ((count > 0) / np.maximum(count, 1))[:, None, None]
    return means


def log_matrices(matrices: np.ndarray, *, ridge: float = 1e-3) -> np.ndarray:
    """Return the matrix logarithm of each matrix + ridge * identity.

    matrices | (R, n, n) | float64 | symmetric, no negative eigenvalues
    returns  | (R, n, n) | float64 | 0 where a matrix is 0, as for an empty region
    """
    values, vectors = np.linalg.eigh(matrices)
    logs = np.log(np.maximum(values, 0) + ridge)  # (R, n); rounding may leave an eigenvalue just below 0
    logs *= (matrices.diagonal(axis1=1, axis2=2).sum(axis=1) > 0)[:, None]
    return (vectors * logs[:, None, :]) @ vectors.swapaxes(1, 2)


def upper_triangles(matrices: np.ndarray) -> np.ndarray:
    """Return the entries on and above the diagonal, not rescaled: (R, n, n) -> (R, n (n + 1) / 2) float32."""
    n = matrices.shape[-1]
    row, column = np.triu_indices(n)
    return matrices.reshape(-1, n * n)[:, row * n + column].astype(np.float32)


def normalise_blocks(blocks: list[np.ndarray], *, power: float = 0.75) -> np.ndarray:
    """Scale the rows of B blocks to equal lengths, join the blocks, and raise each number's magnitude to a power.

    A block's rows are scaled to length 1 / sqrt(B), so that the joined rows have length 1 before the power is taken;
    signs are kept. If a block's row is all zeros, it stays so, and the joined row is shorter.

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
