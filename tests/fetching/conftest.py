"""For the tests of this folder: a server on this machine, which is all that they talk to."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fetching.file_server import FileServer, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # pooch waits before it tries again
    with serving() as made:
        yield made
