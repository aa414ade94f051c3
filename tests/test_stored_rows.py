"""Rows that are read when they are asked for are those of the array in memory."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.errors import CheckpointError
from tinysegrank.stored_rows import RowFile, StoredRows, row_blocks


def image(number, counts, asked=None):
    """The rows of one image: each says its image and its place."""
    if asked is not None:
        asked.append(number)
    return np.array([[[number, place, 7]] for place in range(counts[number])], np.int32).reshape(-1, 1, 3)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.data())
def test_stored_rows_are_those_of_all_images_joined(counts, data):
    expected = np.concatenate([image(number, counts) for number in range(len(counts))])
    stored = pickle.loads(pickle.dumps(StoredRows(partial(image, counts=counts), counts, image(0, counts))))
    assert (stored.shape, stored.dtype, stored.ndim) == (expected.shape, expected.dtype, 3)
    assert len(stored) == len(expected)
    np.testing.assert_array_equal(np.asarray(stored), expected)
    rows = data.draw(st.lists(st.integers(0, max(len(expected) - 1, 0)), max_size=12 if len(expected) else 0))
    found = stored[np.array(rows, np.int64)]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected[np.array(rows, np.int64)])


def test_each_image_is_read_once_and_others_are_not():
    counts, asked = [3, 2, 4, 1], []
    stored = StoredRows(partial(image, counts=counts, asked=asked), counts, image(0, counts))
    stored[np.array([8, 0, 9, 5, 2, 7])]
    assert asked == [0, 2, 3]
    with pytest.raises(IndexError):
        stored[np.array([10])]


def test_a_row_file_gives_rows_in_any_order(tmp_path, rng):
    matrix = rng.standard_normal((50, 7)).astype(np.float32)
    (tmp_path / "rows").write_bytes(matrix.tobytes())
    stored = RowFile(tmp_path / "rows", 50, np.float32)
    assert (stored.shape, stored.dtype, len(stored)) == ((50, 7), np.float32, 50)
    rows = rng.integers(0, 50, 80)
    found = stored[rows]
    np.testing.assert_array_equal(found, matrix[rows])
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(tmp_path) not in maps.read_text()  # the file's pages are not held
    assert stored[np.zeros(0, np.int64)].shape == (0, 7)
    some = RowFile(tmp_path / "rows", 50, np.float32, np.array([40, 3, 3]))
    assert some.shape == (3, 7)
    np.testing.assert_array_equal(some[np.array([1, 0, 2])], matrix[[3, 40, 3]])


def test_a_row_file_that_is_damaged_is_named(tmp_path):
    path = tmp_path / "rows"
    with pytest.raises(CheckpointError, match="rows: is missing"):
        RowFile(path, 3, np.float32)
    path.write_bytes(bytes(4 * 7 * 3 - 1))
    with pytest.raises(CheckpointError, match=r"rows: is damaged .*does not fit 3 rows"):
        RowFile(path, 3, np.float32)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(0, [[]]), (3, [[0, 1, 2]]), (5, [[0, 1, 2], [3, 4]]), (np.array([4, 4, 1, 0]), [[4, 4, 1], [0]])],
)
def test_blocks(rows, expected):
    assert [block.tolist() for block in row_blocks(rows, 3)] == expected
