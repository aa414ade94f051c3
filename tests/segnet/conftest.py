"""For the tests of this folder: presets with hardly any filters, and one BLAS thread, which suits their products."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from tests.segnet.segnet_toys import THIN, toy_store
from tinysegrank.segnet import PRESETS, FeatureStore


@pytest.fixture(autouse=True)
def thin_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, preset in THIN.items():
        monkeypatch.setitem(PRESETS, name, preset)


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return toy_store(tmp_path / "features")
