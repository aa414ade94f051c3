"""A store of more files than a process may have open."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from tinysegrank.segnet import FeatureStore


@pytest.fixture
def few_open_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_store_of_many_chunks_needs_few_open_files(tmp_path, few_open_files):
    store = FeatureStore(tmp_path, images=200, mirrors=True, chunk=1)
    expected = np.arange(400 * 3, dtype=np.float16).reshape(400, 3, 1, 1)
    for chunk in range(200):
        rows = expected[2 * chunk : 2 * chunk + 2]
        store.write(chunk, {"features": rows, "targets": rows.astype(np.float32), "weights": rows[:, 0, 0, 0]})
    order = np.random.default_rng(0).permutation(400)
    for kind in store.kinds:
        found = store.gather(kind, order)
        assert (found.reshape(400, -1)[:, 0] == expected[order, 0, 0, 0]).all()
