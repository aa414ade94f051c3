"""Counters that threads share outside Python."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tinysegrank.compiled import compiled, intrinsic


@intrinsic
def add_one(_: Any, array: Any) -> Any:  # numba gives the types, and takes the code
    """Count one more at an array's first place; the number so far."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", place, context.get_constant(types.int64, 1), "seq_cst")

    return types.int64(array), code


@intrinsic
def look(_: Any, array: Any) -> Any:
    """The number at an array's first place."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array), code


@compiled()
def arrive(arrivals: np.ndarray) -> None:
    """Count this thread."""
    add_one(arrivals)


@compiled()
def arrived(arrivals: np.ndarray, number: int, patience: int) -> bool:
    """Look until so many have arrived, or so many times."""
    while patience > 0 and look(arrivals) < number:
        patience -= 1
    return patience > 0
