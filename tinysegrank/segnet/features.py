"""conv5's features on disk: computed once per image and mirror image, read by every training; of crops, on request.

The trunk is frozen, so its output never changes; kept as float16 in plain .npy files of a few images each, a batch is
gathered without reading the rest, and processes share the pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from tokenize import TokenError

import numpy as np

from tinysegrank.backend import to_numpy
from tinysegrank.errors import CheckpointError, ShapeError
from tinysegrank.files import atomic_write
from tinysegrank.segnet.crops import CORNERS, corner_windows
from tinysegrank.segnet.network import SegNet
from tinysegrank.voc.targets import soft_targets

KINDS = ("features", "targets", "weights")
_DAMAGED = (OSError, ValueError, EOFError, OverflowError, TokenError)  # what np.load raises on a spoilt file


class FeatureStore:
    """A folder of chunks; row r = 2 * image + mirrored, or row = image where there are no mirror images.

    Args:
        folder: holds chunk_00000.features.npy, .targets.npy and .weights.npy, ...
        images: how many images there are in all.
        mirrors: whether each image is followed by its mirror image.
        chunk: images in each file but the last.

    Attributes:
        kinds: what is stored of each row; the first is written last.
    """

    kinds: tuple[str, ...] = KINDS

    def __init__(self, folder: Path | str, *, images: int, mirrors: bool, chunk: int = 16) -> None:
        self.folder, self.images, self.mirrors, self.chunk = Path(folder), images, mirrors, chunk

    @property
    def chunks(self) -> int:
        """How many chunks there are when all are written."""
        return -(-self.images // self.chunk)

    @property
    def rows(self) -> int:
        """Number of rows, mirror images counted."""
        return self.images * self.views

    @property
    def views(self) -> int:
        """Rows of an image."""
        return 2 if self.mirrors else 1

    def rows_of(self, images: np.ndarray) -> np.ndarray:
        """The rows of some images, mirror images included, in order."""
        return (self.views * np.asarray(images)[:, None] + np.arange(self.views)).reshape(-1)

    def members(self, chunk: int) -> range:
        """The images of a chunk."""
        return range(chunk * self.chunk, min((chunk + 1) * self.chunk, self.images))

    def has(self, chunk: int) -> bool:
        """Whether a chunk is written; its features are written last."""
        return self._path(chunk, "features").is_file()

    def write(self, chunk: int, arrays: dict[str, np.ndarray]) -> None:
        """Write one chunk's targets, weights and features, each atomically, features last."""
        for kind in reversed(self.kinds):
            with atomic_write(self._path(chunk, kind)) as stream:
                np.save(stream, arrays[kind], allow_pickle=False)

    def gather(self, kind: str, rows: np.ndarray | None = None) -> np.ndarray:
        """Read "features" (R, C, 13, 13) float16, "targets" (R, 13, 13, K) or "weights" (R, 13, 13) float32.

        Raises:
            CheckpointError: a chunk is missing or damaged, or of another number of images.
            ShapeError: there is no such row.
        """
        maps = self._maps[kind]
        rows = np.arange(self.rows) if rows is None else np.asarray(rows)
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.rows:
            raise ShapeError(f"rows: {rows.min()} to {rows.max()} are not all in 0..{self.rows - 1}")
        per_chunk = self.chunk * self.views
        out = np.empty((len(rows), *maps[0].shape[1:]), maps[0].dtype)
        for place, row in enumerate(rows):
            out[place] = maps[row // per_chunk][row % per_chunk]
        return out

    @cached_property
    def _maps(self) -> dict[str, list[np.ndarray]]:
        return {kind: [self._open(chunk, kind) for chunk in range(self.chunks)] for kind in self.kinds}

    def _open(self, chunk: int, kind: str) -> np.ndarray:
        path, rows = self._path(chunk, kind), len(self.members(chunk)) * self.views
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except _DAMAGED as error:
            raise CheckpointError(f"{path}: is missing or damaged ({error}); delete it and run again") from error
        if array.shape[:1] != (rows,):
            raise CheckpointError(
                f"{path}: has shape {array.shape}, expected {rows} rows; it is of other images: delete it and run again"
            )
        return array

    def _path(self, chunk: int, kind: str) -> Path:
        return self.folder / f"chunk_{chunk:05d}.{kind}.npy"


class CropStore(FeatureStore):
    """The features of the images' corner crops: rows are by image, then corner, then mirrored; there is nothing else.

    Args:
        folder, images, mirrors, chunk: as for `FeatureStore`, crops not counted.
        share: the side of a crop, see `corner_windows`.
    """

    kinds = ("features",)

    def __init__(self, folder: Path | str, *, images: int, share: float, mirrors: bool, chunk: int = 16) -> None:
        super().__init__(folder, images=images, mirrors=mirrors, chunk=chunk)
        self.share = share

    @property
    def views(self) -> int:
        """Rows of an image."""
        return CORNERS * super().views


def chunk_arrays(
    model: SegNet, images: Sequence[np.ndarray], labels: Sequence[np.ndarray], *, mirrors: bool
) -> dict[str, np.ndarray]:
    """Compute one chunk of a store.

    images  | n arrays (H, W, 3)      | uint8   | RGB
    labels  | n arrays (H, W)         | uint8   | 0..K-1 and 255
    returns | features (r, C, 13, 13) | float16 | conv5 after ReLU; r = 2 n with mirrors (image, mirror, image, ...)
            | targets (r, 13, 13, K), weights (r, 13, 13) | float32 | of the image as labelled, mirrored likewise
    """
    prepared, targets, weights = [], [], []
    for image, label in zip(images, labels, strict=True):
        x = model.preset.preprocessing.apply(image)
        for mirrored in (False, True) if mirrors else (False,):
            prepared.append(x[:, :, ::-1] if mirrored else x)
            target, weight = soft_targets(label[:, ::-1] if mirrored else label, num_classes=model.num_classes)
            targets.append(target)
            weights.append(weight)
    features = to_numpy(model.features(model.backend.asarray(np.stack(prepared))))
    return {"features": features.astype(np.float16), "targets": np.stack(targets), "weights": np.stack(weights)}


def crop_arrays(model: SegNet, images: Sequence[np.ndarray], share: float, *, mirrors: bool) -> dict[str, np.ndarray]:
    """Compute one chunk of a `CropStore`.

    images  | n arrays (H, W, 3)      | uint8   | RGB
    returns | features (r, C, 13, 13) | float16 | conv5 after ReLU; r = 4 n, or 8 n with mirrors

    Raises:
        ShapeError: an array is no RGB image.
        ConfigError: the share is not above 0 and at most 1.
    """
    corners = []
    for window in corner_windows(share):  # a corner at a time: no more memory than `chunk_arrays`
        prepared = []
        for image in images:
            x = model.preset.preprocessing.apply(image, window=window)
            prepared += [x, x[:, :, ::-1]] if mirrors else [x]
        features = to_numpy(model.features(model.backend.asarray(np.stack(prepared)))).astype(np.float16)
        corners.append(features.reshape(len(images), -1, *features.shape[1:]))  # (n, 1 or 2, C, 13, 13)
    stacked = np.stack(corners, axis=1)  # (n, 4, 1 or 2, C, 13, 13)
    return {"features": stacked.reshape(-1, *stacked.shape[3:])}  # (r, C, 13, 13)
