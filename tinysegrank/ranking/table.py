"""The features of all proposals of a set of images: named columns in named blocks, one row per proposal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.files import reading, write_arrays
from tinysegrank.fitted import read_checked
from tinysegrank.stored_rows import StoredRows

_FORMAT = "tinysegrank feature table without columns 1"


def chosen_blocks(blocks: Sequence[str] | None, known: Mapping[str, object]) -> list[str]:
    """Return `blocks`, which may be a single name, as a list of names; all known ones if it is None.

    Raises:
        ConfigError: a block is unknown or duplicated, or there is none.
    """
    chosen = list(known) if blocks is None else [blocks] if isinstance(blocks, str) else list(blocks)
    if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(known):
        raise ConfigError(f"blocks: {chosen}; choose some of {list(known)}, each once")
    return chosen


@dataclass(frozen=True, eq=False)
class _Rows:
    """Base class of tables in memory and on disk: everything but the features. `FeatureTable` describes the fields."""

    images: tuple[str, ...]
    groups: np.ndarray
    proposals: np.ndarray
    quality: np.ndarray
    columns: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.groups)

    def names(self, blocks: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return the names of the columns of some blocks, by default all, block by block."""
        return tuple(name for block in chosen_blocks(blocks, self.columns) for name in self.columns[block])


@dataclass(frozen=True, eq=False)
class FeatureTable(_Rows):
    """Features, quality and origin of each proposal.

    images    | (images,)            | str     | names of the images, without duplicates
    groups    | (rows,)              | int64   | number of the row's image in `images`
    proposals | (rows,)              | int64   | number of the row's proposal within its image, from 0
    quality   | (rows,)              | float64 | accuracy of the proposal alone; NaN if the truth is not known
    columns   | each (columns,)      | str     | names of the columns of each block, by the block's name
    blocks    | each (rows, columns) | float32 | features of each block, by its name; in the order of `columns`

    Raises:
        ShapeError: the arrays do not fit each other or the names, a group has no image, a name is duplicated, or there
            is no block.
    """

    blocks: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        rows = self.groups.shape
        if len(rows) != 1 or self.proposals.shape != rows or self.quality.shape != rows:
            raise ShapeError(
                f"groups, proposals, quality: shapes {rows}, {self.proposals.shape}, {self.quality.shape}; "
                "give one number per row in each"
            )
        if len(set(self.images)) != len(self.images):
            raise ShapeError("images: a name is duplicated; each image has one group of rows")
        if rows[0] and (self.groups.min() < 0 or self.groups.max() >= len(self.images)):
            raise ShapeError(f"groups: numbers must be in 0 .. {len(self.images) - 1}, one for each image")
        if tuple(self.blocks) != tuple(self.columns) or not self.blocks:
            raise ShapeError(f"blocks, columns: {list(self.blocks)} and {list(self.columns)}; name the columns of each")
        for name, block in self.blocks.items():
            if block.shape != (rows[0], len(self.columns[name])):
                raise ShapeError(
                    f"block {name!r}: shape {block.shape} does not fit {rows[0]} rows, {len(self.columns[name])} names"
                )
        names = self.names()
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ShapeError(f"columns: {twice!r} is duplicated; each column needs a name of its own")

    @classmethod
    def of_image(
        cls, image: str, blocks: Mapping[str, tuple[Sequence[str], np.ndarray]], quality: np.ndarray | None = None
    ) -> Self:
        """Make the table of one image.

        quality | (M,) | floating | accuracy of each proposal alone; None if the truth is not known

        Args:
            image: name of the image.
            blocks: names of the columns and their values (M, columns), by name of the block, as from `describe`.
        """
        count = len(next(iter(blocks.values()))[1]) if blocks else 0
        return cls(
            (image,),
            np.zeros(count, np.int64),
            np.arange(count),
            np.full(count, np.nan) if quality is None else np.asarray(quality, np.float64),
            {name: tuple(names) for name, (names, _) in blocks.items()},
            {name: np.asarray(values, np.float32) for name, (_, values) in blocks.items()},
        )

    @classmethod
    def concatenate(cls, tables: Iterable[Self]) -> Self:
        """Join tables of different images with the same columns, in order.

        Raises:
            ShapeError: there is no table, columns differ, or an image is in two tables.
        """
        tables = list(tables)
        if not tables:
            raise ShapeError("tables: there are none to join; give at least one")
        for table in tables[1:]:
            if list(table.columns.items()) != list(tables[0].columns.items()):
                raise ShapeError(
                    f"table of {', '.join(table.images[:1])}: its columns differ from those of the first table"
                )
        offsets = np.cumsum([0, *(len(table.images) for table in tables[:-1])])
        return cls(
            tuple(image for table in tables for image in table.images),
            np.concatenate([table.groups + offset for table, offset in zip(tables, offsets, strict=True)]),
            np.concatenate([table.proposals for table in tables]),
            np.concatenate([table.quality for table in tables]),
            tables[0].columns,
            {name: np.concatenate([table.blocks[name] for table in tables]) for name in tables[0].blocks},
        )

    def select(self, blocks: Sequence[str] | None = None) -> np.ndarray:
        """Return the columns of some blocks side by side; of all by default.

        returns | (rows, columns) | float32 | in the order of `names(blocks)`

        Raises:
            ConfigError: a block is unknown or duplicated, or none is asked for.
        """
        return np.concatenate([self.blocks[name] for name in chosen_blocks(blocks, self.columns)], axis=1)

    def save(self, path: Path | str) -> None:
        """Write the table to a file, atomically, without the names of its columns, which many tables have in common."""
        arrays = {f"block/{name}": block for name, block in self.blocks.items()}
        arrays |= {"groups": self.groups, "proposals": self.proposals, "quality": self.quality}
        write_arrays(path, arrays, about={"format": _FORMAT, "images": json.dumps(self.images)})

    @classmethod
    def load(cls, path: Path | str, columns: Mapping[str, tuple[str, ...]]) -> Self:
        """Read a table from a file that `save` wrote.

        Args:
            columns: names of the columns of each block to read, by the block's name.

        Raises:
            CheckpointError: the file is missing, damaged, or holds something else, or another number of columns.
        """
        shapes = {"groups": ("rows",), "proposals": ("rows",), "quality": ("rows",)}
        about, arrays = read_checked(path, _FORMAT, shapes=shapes, not_finite=("quality",))
        with reading(path):
            blocks = {name: arrays[f"block/{name}"] for name in columns}
            rows = (arrays["groups"], arrays["proposals"], arrays["quality"])
            return cls(tuple(json.loads(about["images"])), *rows, columns, blocks)


@dataclass(frozen=True, eq=False)
class StoredTable(_Rows):
    """A `FeatureTable` whose features stay in the files of its images, which `FeatureTable.save` wrote.

    files | (images,) | Path |
    """

    files: tuple[Path, ...]

    @classmethod
    def open(cls, files: Iterable[Path], columns: Mapping[str, tuple[str, ...]]) -> Self:
        """Make a table of the files of different images, in order; keep everything but the features in memory.

        Args:
            columns: names of the columns of each block, by the block's name.

        Raises:
            CheckpointError: a file is missing, damaged, or holds something else, or another number of columns.
            ShapeError: there is no file, or one holds several images.
        """
        files, parts = tuple(files), []
        images: list[str] = []
        for number, file in enumerate(files):
            table = FeatureTable.load(file, columns)
            images.extend(table.images)
            parts.append((table.groups + number, table.proposals, table.quality))
        if not files or len(images) != len(files):
            raise ShapeError("files: give at least one, each of one image")
        groups, proposals, quality = map(np.concatenate, zip(*parts, strict=True))
        return cls(tuple(images), groups, proposals, quality, columns, files)

    def select(self, blocks: Sequence[str] | None = None) -> StoredRows:
        """Return what `FeatureTable.select` returns, but as `StoredRows`, which are read when they are indexed."""
        read = partial(_read, self.files, chosen_blocks(blocks, self.columns))
        return StoredRows(read, np.bincount(self.groups, minlength=len(self.files)), read(0))


def _read(files: Sequence[Path], blocks: Sequence[str], number: int) -> np.ndarray:
    """Return the features of the image of this number, some blocks side by side: (its rows, columns)."""
    _, arrays = read_checked(files[number], _FORMAT, not_finite=("quality",))  # its columns were checked before
    return np.concatenate([arrays[f"block/{name}"] for name in blocks], axis=1)
