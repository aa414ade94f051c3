"""Arrays that are stored on disk and may not fit into memory: rows are read when they are asked for.

Both kinds are indexed by an array of row numbers, as a NumPy array is. A file is open only while it is read, so that
it counts neither as memory nor as an open file of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinysegrank.files import reading

BLOCK = 2**13  # rows read at once


class StoredRows:
    """The rows of several images, one image after the other, read when they are asked for.

    Args:
        read: returns all rows of an image, given its number; picklable if worker processes use it.
        counts: number of rows of each image.
        like: rows of any one image, for the dtype and the shape of a row, which are the same for all.
    """

    def __init__(self, read: Callable[[int], np.ndarray], counts: ArrayLike, like: np.ndarray) -> None:
        self._read, self._starts = read, np.append(0, np.cumsum(counts))
        self.shape, self.dtype, self.ndim = (int(self._starts[-1]), *like.shape[1:]), like.dtype, like.ndim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows with these numbers, (R, ...), in this order; each of their images is read once."""
        rows = np.asarray(rows)
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        image = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(image, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(image[order])) + 1) if len(rows) else ():
            number = int(image[places[0]])
            found[places] = self._read(number)[rows[places] - self._starts[number]]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # always a copy
        return self[np.arange(len(self))].astype(dtype or self.dtype, copy=False)


class RowFile:
    """All or some rows of a matrix, whose file holds nothing but its numbers, row by row.

    Args:
        rows: number of rows in the file.
        dtype: type of its numbers.
        chosen: numbers of the file's rows that this object has, in this order; all by default.

    Raises:
        CheckpointError: the file is missing, or its length does not fit the number of rows.
    """

    def __init__(self, path: Path, rows: int, dtype: type[np.generic], chosen: np.ndarray | None = None) -> None:
        self.path, self.dtype, self.ndim, self._chosen = path, np.dtype(dtype), 2, chosen
        with reading(path):
            columns, rest = divmod(path.stat().st_size, max(rows, 1) * self.dtype.itemsize)
            if rest:
                raise ValueError(f"its length does not fit {rows} rows")
        self.shape = (rows if chosen is None else len(chosen), columns)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows with these numbers, (R, columns), in this order.

        Raises:
            CheckpointError: the file is missing, or ends before one of them.
        """
        rows = rows if self._chosen is None else self._chosen[rows]
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)  # of runs of adjacent rows, each read at once
        with reading(self.path), self.path.open("rb", buffering=0) as stream:  # not mapped: pages count as memory
            for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=False):
                run = found[start:end]
                stream.seek(int(rows[start]) * found[0].nbytes)
                if stream.readinto(run.data) != run.nbytes:
                    raise ValueError(f"it ends before row {rows[end - 1]}")
        return found


def row_blocks(rows: int | np.ndarray, size: int = BLOCK) -> Iterator[np.ndarray]:
    """Yield the numbers 0 to `rows` - 1, or those in an array, `size` at a time; one empty block if there are none."""
    rows = np.arange(rows) if isinstance(rows, int) else rows
    for start in range(0, max(len(rows), 1), size):
        yield rows[start : start + size]
