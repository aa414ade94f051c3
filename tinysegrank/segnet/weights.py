"""Parameters that cannot be right, found when a file is read and not later, as a training that diverges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def fault_in(parameters: Mapping[str, np.ndarray]) -> str | None:
    """Say what makes parameters unusable: NaN or infinity anywhere, or a layer whose weights are all 0.

    parameters | name to array | floating | "layer.weight" and "layer.bias"; a bias may be 0
    """
    for name, array in parameters.items():
        if not np.all(np.isfinite(array)):
            return f"{name} holds NaN or infinity"
        if name.endswith(".weight") and not np.any(array):
            return f"{name} is 0 everywhere"
    return None
