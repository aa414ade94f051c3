"""Ones picked out of words, against NumPy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.voc.fast import list_ones


@given(st.integers(0, 12), st.sampled_from([0.0, 0.02, 0.3, 1.0]), st.integers(0, 2**32 - 1))
def test_places_of_ones_are_numpys(words, share, seed):
    marks = (np.random.default_rng(seed).random(8 * words) < share).astype(np.uint8)
    places = np.full(8 * words, -1)
    count = list_ones(marks.view(np.uint64), places)
    np.testing.assert_array_equal(places[:count], np.flatnonzero(marks))
    assert (places[count:] == -1).all()


def test_each_byte_of_a_word():
    for place in range(16):
        marks, places = np.zeros(16, np.uint8), np.empty(16, np.int64)
        marks[place] = 1
        assert list_ones(marks.view(np.uint64), places) == 1 and places[0] == place
