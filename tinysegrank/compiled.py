"""Compile functions with numba; `compiled_cache` stores their machine code."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isgeneratorfunction
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast

import numba.extending

from tinysegrank.compiled_cache import Cache, source_digest

P = ParamSpec("P")
R = TypeVar("R")


def compiled(*, error_model: Literal["python", "numpy"] = "python") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that compiles a function when it is first called, once per combination of argument types.

    It releases Python's lock. With the error model "numpy", a division by zero gives infinity or NaN, as in NumPy.
    """
    source_digest()  # at import: the sources on disk may have changed by the first call

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        dispatcher = numba.njit(nogil=True, no_cfunc_wrapper=True, error_model=error_model)(function)
        # numba can't compile a caller of a generator that it has read from a cache; NUMBA_DISABLE_JIT has no `_cache`
        if hasattr(dispatcher, "_cache") and not isgeneratorfunction(function):
            dispatcher._cache = Cache(function)
        return cast("Callable[P, R]", dispatcher)

    return decorate


def intrinsic(function: Callable[Concatenate[Any, P], Any]) -> Callable[P, Any]:
    """Wrap `numba.extending.intrinsic` with types: make a function that emits LLVM code callable from compiled code."""
    return cast("Callable[P, Any]", numba.extending.intrinsic(function))
