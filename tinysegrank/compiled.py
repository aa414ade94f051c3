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
    """Return a decorator that compiles a function at its first call with each combination of argument types.

    The compiled function releases Python's global lock. A division by zero raises ZeroDivisionError with the error
    model "python", and gives infinity or NaN with "numpy".
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
    """Make a function that emits LLVM code callable from compiled code; this is numba's `intrinsic`, but with types."""
    return cast("Callable[P, Any]", numba.extending.intrinsic(function))
