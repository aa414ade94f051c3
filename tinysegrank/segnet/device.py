"""Compute on a network's own CuPy device, whichever device is the calling thread's current one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def on_its_device(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function so that its first argument's `backend` has its device current during each call."""

    @wraps(function)
    def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        model: Any = args[0]
        with model.backend.active():
            return function(*args, **kwargs)

    return called
