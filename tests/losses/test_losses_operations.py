"""Every loss through the one body of tests."""

from __future__ import annotations

import pytest

from tests.losses.losses_operations import OPERATIONS
from tests.operations import OperationTests


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
class TestLosses(OperationTests):
    pass
