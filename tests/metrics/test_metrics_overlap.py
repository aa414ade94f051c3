import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinysegrank.errors import ShapeError
from tinysegrank.metrics import mask_overlaps


@given(
    data=st.tuples(st.integers(1, 9), st.integers(1, 20)).flatmap(
        lambda size: st.tuples(
            arrays(bool, (3, *size)), arrays(bool, (2, *size)), st.one_of(st.none(), arrays(bool, size))
        )
    )
)
def test_overlaps_are_those_of_sets_of_pixels(data):
    segments, objects, valid = data
    counted = set(np.flatnonzero(np.ones(segments[0].size) if valid is None else valid))
    result = mask_overlaps(segments, objects, valid=valid)
    assert result.shape == (3, 2) and result.dtype == np.float64
    for r, segment in enumerate(segments):
        for o, thing in enumerate(objects):
            a, b = set(np.flatnonzero(segment)) & counted, set(np.flatnonzero(thing)) & counted
            assert result[r, o] == (len(a & b) / len(a | b) if a | b else 0)


def test_no_segments_and_no_objects():
    masks = np.zeros((3, 4, 5), bool)
    assert mask_overlaps(masks[:0], masks).shape == (0, 3)
    assert mask_overlaps(masks, masks[:0]).shape == (3, 0)


@pytest.mark.parametrize(
    ("segments", "objects", "valid", "words"),
    [
        (np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3, 3), bool), None, "segments: .*uint8"),
        (np.zeros((3, 3), bool), np.zeros((2, 3, 3), bool), None, "segments"),
        (np.zeros((2, 3, 3), bool), np.zeros((2, 3, 4), bool), None, "objects"),
        (np.zeros((2, 3, 3), bool), np.zeros((2, 3, 3), bool), np.zeros((3, 4), bool), "valid"),
        (np.zeros((2, 3, 3), bool), np.zeros((2, 3, 3), bool), np.zeros((3, 3), int), "valid"),
    ],
)
def test_what_does_not_fit_is_named(segments, objects, valid, words):
    with pytest.raises(ShapeError, match=words):
        mask_overlaps(segments, objects, valid=valid)
