import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysegrank.errors import ConfigError, DatasetError
from tinysegrank.voc import assign_folds

NAMES = st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=2, max_size=40, unique=True)


@given(names=NAMES, seed=st.integers(0, 5), data=st.data())
def test_balanced_and_independent_of_the_order_of_names(names, seed, data):
    count = data.draw(st.integers(2, len(names)))
    folds = assign_folds(names, count, seed=seed)
    sizes = np.bincount(folds, minlength=count)
    assert sizes.size == count and np.ptp(sizes) <= 1
    shuffled = data.draw(st.permutations(names))
    again = dict(zip(shuffled, assign_folds(shuffled, count, seed=seed), strict=True))
    assert [again[name] for name in names] == folds.tolist()


def test_the_seed_matters_and_neighbours_are_spread():
    names = [f"2007_{index:06d}" for index in range(1000)]
    folds = [assign_folds(names, 10, seed=seed) for seed in range(3)]
    assert len({tuple(each) for each in folds}) == 3
    for each in folds:  # independent folds agree by chance on a tenth of neighbours; 5 standard deviations
        assert abs((each[1:] == each[:-1]).mean() - 0.1) < 0.05


@pytest.mark.parametrize("count", [-1, 0, 1, 4])
def test_impossible_counts(count):
    with pytest.raises(ConfigError, match=f"{count} folds of 3 images"):
        assign_folds(["a", "b", "c"], count, seed=0)


def test_doubled_names():
    with pytest.raises(DatasetError, match="is duplicated"):
        assign_folds(["a", "b", "a"], 2, seed=0)
