"""CuPy for the tests of this folder: the make-believe one, and with `-m gpu` a real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from tests.gpu.make_believe_cupy import installed
from tinysegrank.backend import Backend, get_backend


@pytest.fixture(params=["make-believe", pytest.param("real", marks=pytest.mark.gpu)])
def cupy(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with installed() if request.param == "make-believe" else nullcontext():
        yield get_backend("cupy")


@pytest.fixture
def is_real(request: pytest.FixtureRequest, cupy: Backend) -> bool:  # its parameter
    return bool(request.node.callspec.params["cupy"] == "real")
