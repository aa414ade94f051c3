"""Numba evaluation of 1 to 70 images, on 1 to 4 threads, against the readable functions, layer by layer.

How work is cut into parts and chunks depends on the number of images, so every number has to be right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from tests.nn.nn_strategies import seeds
from tests.nn.nn_versions import assert_near
from tinysegrank import nn


class Case(NamedTuple):
    """Two convolutions with what may follow them."""

    images: int
    groups: int
    channels: tuple[int, int, int]  # of each group: in, between, out
    stride: int
    followers: tuple[str, ...]
    size: tuple[int, int]
    threads: int
    seed: int = 0

    def network(self, rng: np.random.Generator) -> nn.Sequential:
        first, middle, last = (self.groups * channels for channels in self.channels)
        kinds = {"relu": nn.ReLU(), "pool": nn.MaxPool2d(), "norm": nn.LocalResponseNorm(alpha=0.5)}

        def conv(C: int, F: int, K: int, stride: int) -> nn.Conv2d:
            weight = rng.standard_normal((F, C // self.groups, K, K), dtype=np.float32) / np.float32(K * np.sqrt(C))
            bias = rng.standard_normal(F, dtype=np.float32)
            return nn.Conv2d(weight, bias, stride=stride, padding=K // 2, groups=self.groups)

        return nn.Sequential(
            {
                "conv1": conv(first, middle, 3 * self.stride, self.stride),
                **{name: kinds[name] for name in self.followers},
                "drop": nn.Dropout(),
                "conv2": conv(middle, last, 3, 1),
            }
        )


cases = st.builds(
    Case,
    images=st.integers(1, 70),
    groups=st.integers(1, 2),
    channels=st.tuples(*[st.integers(8, 12)] * 3),
    stride=st.sampled_from([1, 1, 2]),
    followers=st.sampled_from([(), ("relu",), ("relu", "pool"), ("relu", "pool", "norm"), ("norm", "pool")]),
    size=st.tuples(st.integers(4, 9), st.integers(4, 9)),
    threads=st.integers(1, 4),
    seed=seeds,
)


@pytest.mark.slow
@given(cases)
@example(Case(9, 1, (8, 8, 8), 1, ("relu",), (5, 5), 2))
@example(Case(12, 2, (8, 9, 10), 2, ("relu", "pool", "norm"), (9, 7), 4))
@example(Case(15, 1, (8, 8, 8), 1, (), (6, 6), 3))  # numbers of images that were wrong once
@example(Case(70, 1, (8, 8, 8), 1, ("relu", "pool"), (7, 7), 2))
def test_any_batch_is_what_the_readable_functions_give(case: Case) -> None:
    rng = np.random.default_rng(case.seed)
    network = case.network(rng)
    x = rng.standard_normal((case.images, case.groups * case.channels[0], *case.size), dtype=np.float32)
    with threadpool_limits(case.threads):
        prepared = nn.Prepared(network)
        found = [network(x), prepared(x), prepared(x)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSEGRANK_ACCELERATE", "0")
        network.assign({name: array.astype(float) for name, array in network.parameters.items()})
        exact = network(x.astype(float))
    for result in found:
        assert_near(result, exact)
