"""Presets with hardly any filters, for the tests of this folder."""

from __future__ import annotations

import pytest
from segnet_toys import THIN

from tinysegrank.segnet import PRESETS


@pytest.fixture(autouse=True)
def thin_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, preset in THIN.items():
        monkeypatch.setitem(PRESETS, name, preset)
