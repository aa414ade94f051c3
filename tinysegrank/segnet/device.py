"""The device boundary of CuPy: compute on a network's own device, whichever one the calling thread uses otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

from tinysegrank.backend import Backend


class OnBackend(Protocol):
    """Anything that keeps its arrays on a backend."""

    @property
    def backend(self) -> Backend:
        """The backend."""


Model = TypeVar("Model", bound=OnBackend)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def on_its_device(
    function: Callable[Concatenate[Model, Arguments], Result],
) -> Callable[Concatenate[Model, Arguments], Result]:
    """Make the backend of a function's first argument active during each call; see `Backend.active`."""

    @wraps(function)
    def called(model: Model, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with model.backend.active():
            return function(model, *args, **kwargs)

    return cast(Callable[Concatenate[Model, Arguments], Result], called)
