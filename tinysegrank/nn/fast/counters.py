"""Atomic counters and a barrier for threads in compiled code, which runs without the GIL."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tinysegrank.compiled import compiled, intrinsic


@intrinsic
def add_one(_: Any, array: Any) -> Any:  # numba calls this with types, and uses the code generator it returns
    """Atomically increment array[0]; return the previous value."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", place, context.get_constant(types.int64, 1), "seq_cst")

    return types.int64(array), code


@intrinsic
def look(_: Any, array: Any) -> Any:
    """Atomically read array[0]."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array), code


@compiled()
def arrive(arrivals: np.ndarray) -> None:
    """Count this thread as arrived at a barrier."""
    add_one(arrivals)


@compiled()
def arrived(arrivals: np.ndarray, number: int, patience: int) -> bool:
    """Spin until `number` threads have arrived at a barrier, or `patience` times; return whether they have arrived."""
    while patience > 0 and look(arrivals) < number:
        patience -= 1
    return patience > 0
