"""The device boundary of CuPy: compute on a network's own device, whichever one the calling thread uses otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def on_its_device(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make the `backend` of a function's first argument active during each call; see `Backend.active`."""

    @wraps(function)
    def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        model: Any = args[0]
        with model.backend.active():
            return function(*args, **kwargs)

    return called
