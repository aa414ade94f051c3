"""Find unusable parameters when a file is read, instead of later, when a training diverges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def fault_in(parameters: Mapping[str, np.ndarray]) -> str | None:
    """Return a message if a parameter is NaN or infinite, or a layer's weights are all 0; otherwise None.

    parameters | name to array | floating | "layer.weight" and "layer.bias"; a bias may be 0
    """
    for name, array in parameters.items():
        if not np.all(np.isfinite(array)):
            return f"{name} holds NaN or infinity"
        if name.endswith(".weight") and not np.any(array):
            return f"{name} is 0 everywhere"
    return None
