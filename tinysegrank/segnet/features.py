"""Store conv5's features on disk: computed once per image and mirror image, and read by every training.

The trunk is frozen, so its output never changes. It is stored as float16 in .npy files of a few images each; a batch is
read row by row, with one file open at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinysegrank.backend import Array, to_numpy
from tinysegrank.errors import CheckpointError, ShapeError, WeightsError, brief
from tinysegrank.files import read_array, reading, write_array
from tinysegrank.segnet.network import SegNet
from tinysegrank.voc.targets import soft_targets

KINDS = ("features", "targets", "weights")
_BOTH = (slice(None), slice(None, None, -1))  # of an image's columns: as it is, mirrored


class FeatureStore:
    """A folder with the features, soft targets and weights of images, in chunks of a few images.

    Image i has row 2 i, and its mirror image row 2 i + 1; in a store without mirror images, image i has row i.

    Args:
        folder: contains chunk_00000.features.npy, .targets.npy and .weights.npy, ...
        images: number of images in all.
        mirrors: True if mirror images are stored too.
        chunk: number of images per file; the last may have fewer.
        targets: True if soft targets and weights are stored with the features.

    Attributes:
        kinds: kinds of files in each chunk: "features", or also "targets" and "weights".
        views: number of rows per image, 1 or 2.
        rows: number of rows, mirror images included.
        chunks: number of chunks in the complete store.
    """

    def __init__(
        self, folder: Path | str, *, images: int, mirrors: bool, chunk: int = 16, targets: bool = True
    ) -> None:
        self.folder, self.images, self.mirrors, self.chunk, self.targets = Path(folder), images, mirrors, chunk, targets
        self.kinds = KINDS if targets else KINDS[:1]
        self.views = 2 if mirrors else 1
        self.rows, self.chunks = images * self.views, -(-images // chunk)
        self._layouts: dict[tuple[int, str], tuple[tuple[int, ...], np.dtype, int]] = {}

    def rows_of(self, images: np.ndarray) -> np.ndarray:
        """Return the rows of some images, in the order of `images`, each followed by its mirror image's if stored."""
        return (self.views * np.asarray(images)[:, None] + np.arange(self.views)).reshape(-1)

    def members(self, chunk: int) -> range:
        """Return the indices of a chunk's images."""
        return range(chunk * self.chunk, min((chunk + 1) * self.chunk, self.images))

    def files(self, chunk: int) -> list[Path]:
        """Return the paths of a chunk's files, one per kind."""
        return [self._path(chunk, kind) for kind in self.kinds]

    def write(self, chunk: int, arrays: dict[str, np.ndarray]) -> None:
        """Write the arrays of one chunk, given by kind: one file per kind, each atomically."""
        for kind in self.kinds:
            write_array(self._path(chunk, kind), arrays[kind])

    def gather(self, kind: str, rows: np.ndarray | None = None) -> np.ndarray:
        """Read one kind of array for some rows, by default all.

        rows    | (R,)           | integer | indices of rows, in any order
        returns | (R, C, 13, 13) | float16 | for kind="features"
                | (R, 13, 13, K) | float32 | for kind="targets"
                | (R, 13, 13)    | float32 | for kind="weights"

        Raises:
            CheckpointError: a chunk is missing or damaged, has another number of images, or its rows differ from the
                first chunk's in shape or dtype.
            ShapeError: there is no such row.
        """
        rows = np.arange(self.rows) if rows is None else np.asarray(rows)
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.rows:
            raise ShapeError(f"rows: {rows.min()} to {rows.max()} are not all in 0..{self.rows - 1}")
        shape, dtype, _ = self._layout(0, kind)
        out = np.empty((len(rows), *shape[1:]), dtype)
        chunk_of, row_of = np.divmod(rows, self.chunk * self.views)
        for chunk in np.unique(chunk_of):
            self._read(int(chunk), kind, row_of, out, np.flatnonzero(chunk_of == chunk))
        return out

    def _read(self, chunk: int, kind: str, row_of: np.ndarray, out: np.ndarray, places: np.ndarray) -> None:
        """Read the rows `row_of[places]` of one chunk into `out[places]`."""
        (shape, dtype, start), path = self._layout(chunk, kind), self._path(chunk, kind)
        if (shape[1:], dtype) != (out.shape[1:], out.dtype):
            raise CheckpointError(
                f"{path}: rows differ in shape or dtype from the first chunk's; delete it and run again"
            )
        size = out[:1].nbytes
        with reading(path), path.open("rb", buffering=0) as stream:
            for place in places:
                stream.seek(start + int(row_of[place]) * size)
                if stream.readinto(out[place : place + 1].data.cast("B")) != size:
                    raise EOFError("it ends too early")

    def _layout(self, chunk: int, kind: str) -> tuple[tuple[int, ...], np.dtype, int]:
        """Return shape and dtype of the array in a chunk's file, and its data's offset in bytes; read them once."""
        if (chunk, kind) not in self._layouts:
            path, rows = self._path(chunk, kind), len(self.members(chunk)) * self.views
            array = read_array(path, mapped=True)  # checks that the file is long enough
            if array.shape[:1] != (rows,) or not isinstance(array, np.memmap) or not array.flags.c_contiguous:
                raise CheckpointError(
                    f"{path}: has shape {brief(array.shape, 40)}, expected {rows} rows; it belongs to other images: "
                    "delete it and run again"
                )
            self._layouts[chunk, kind] = array.shape, array.dtype, array.offset
        return self._layouts[chunk, kind]

    def _path(self, chunk: int, kind: str) -> Path:
        return self.folder / f"chunk_{chunk:05d}.{kind}.npy"


def stored(features: Array) -> np.ndarray:
    """Convert conv5's features to the dtype in which a store keeps them.

    features | (N, C, 13, 13) | float32 | of any backend
    returns  | (N, C, 13, 13) | float16 | on the host

    Raises:
        WeightsError: a feature is not finite, or beyond the range of float16.
    """
    host = to_numpy(features)
    if not np.all(np.abs(host) <= np.finfo(np.float16).max):
        raise WeightsError(
            f"conv5's features reach {np.max(np.abs(host)):.3g}, beyond float16's 65504; the trunk's weights are "
            f"damaged, or expect images of another scale: give other weights"
        )
    return host.astype(np.float16)


def chunk_arrays(
    model: SegNet,
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray] | None,
    *,
    mirrors: bool,
    num_classes: int | None = None,
) -> dict[str, np.ndarray]:
    """Compute the arrays of one chunk of a `FeatureStore`, by kind.

    images     | n arrays (H, W, 3)  | uint8   | RGB
    labels     | n arrays (H, W)     | uint8   | 0..K-1, or 255 where void; None for features alone
    "features" | (r, C, 13, 13)      | float16 | conv5 after ReLU
    "targets"  | (r, 13, 13, K)      | float32 | share of each class among a cell's non-void pixels; 0 if there are none
    "weights"  | (r, 13, 13)         | float32 | share of a cell's pixels that are not void

    Args:
        mirrors: True to follow each image's row by that of its mirror image, so that r = 2 n; else r = n.
        num_classes: number of classes K; by default the network's.

    Raises:
        ShapeError: there isn't one label map per image, one is not (H, W) of integers, or an image is not RGB uint8.
        DatasetError: a label is not a class, or a label map is smaller than the grid.
        WeightsError: a feature is not finite, or beyond the range of float16.
    """
    if labels is not None and len(labels) != len(images):
        raise ShapeError(f"{len(labels)} label maps for {len(images)} images; give one per image")
    views = _BOTH if mirrors else _BOTH[:1]
    parts = [model.preset.preprocessing.apply(image) for image in images]
    prepared = np.stack([x[:, :, view] for x in parts for view in views])  # (r, 3, S, S)
    arrays = {"features": stored(model.features(model.backend.asarray(prepared)))}
    if labels is not None:
        pairs = [
            soft_targets(label[:, view], num_classes=num_classes or model.num_classes)
            for label in labels
            for view in views
        ]
        arrays["targets"], arrays["weights"] = (np.stack(part) for part in zip(*pairs, strict=True))
    return arrays
