"""Every operation of the layer library through the one body of tests."""

from __future__ import annotations

import pytest

from tests.nn.nn_operations import OPERATIONS
from tests.operations import OperationTests


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
class TestLayers(OperationTests):
    pass
