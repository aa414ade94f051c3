from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from tinysegrank.fetching.matlab import read_field


def written(variables, **options):
    stream = io.BytesIO()
    savemat(stream, variables, **options)
    return stream.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"])
def test_fields_are_as_scipy_reads_them(kind, compressed):
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, (3, 5)).astype(kind)
    fields = {"Boundaries": [0], "x": np.zeros((1, 1)), "Segmentation": mask, "CategoriesPresent": [1, 2]}
    others = {"first": np.arange(3), "text": "GTcls", "cell": np.array([1, "a"], object)}
    content = written({**others, "GTcls": fields, "last": {"Segmentation": 1}}, do_compression=compressed)
    found = read_field(content, "GTcls", "Segmentation")
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(found, loadmat(io.BytesIO(content))["GTcls"][0, 0]["Segmentation"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (0, 4), (9, 1), (2, 3, 4)])
def test_matrices_of_every_size_are_read(shape):
    mask = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.testing.assert_array_equal(read_field(written({"s": {"m": mask}}), "s", "m"), mask)


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ({"GTinst": {"Segmentation": 1}}, KeyError),
        ({"GTcls": {"Boundaries": 1}}, KeyError),
        ({"GTcls": 1}, KeyError),
        ({"GTcls": {"Segmentation": "text"}}, ValueError),
        ({"GTcls": {"Segmentation": {"a": 1}}}, ValueError),
    ],
)
def test_other_content_is_refused(variables, error):
    with pytest.raises(error):
        read_field(written(variables), "GTcls", "Segmentation")


@pytest.mark.parametrize("compressed", [False, True])
def test_every_cut_is_noticed(compressed):
    content = written({"GTcls": {"Segmentation": np.ones((7, 3), np.uint8)}}, do_compression=compressed)
    for end in range(len(content)):
        with pytest.raises((ValueError, KeyError, zlib.error)):
            read_field(content[:end], "GTcls", "Segmentation")


def test_a_bomb_is_refused_before_it_fills_the_memory():
    packed = zlib.compress(bytes(1 << 26), 1)
    with pytest.raises(ValueError, match="too large"):
        read_field(written({})[:128] + struct.pack("<II", 15, len(packed)) + packed, "GTcls", "Segmentation")
