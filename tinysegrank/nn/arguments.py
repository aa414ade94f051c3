"""Checks of the layers' arguments, and the contexts that forward functions pass to backward functions.

The readable functions and their Numba and CUDA versions import this file, so that they need not import each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from operator import index
from typing import Any, NamedTuple, ParamSpec, TypeAlias, TypeVar

import numpy as np
from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.errors import ShapeError

Pair: TypeAlias = tuple[int, int]
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Contexts ------------------------------------------------------------------------------------------------------------


class ConvContext(NamedTuple):
    """Values that a convolution saves for its backward pass."""

    columns: Array  # (G, C/G * T, N * OH * OW)
    weight: Array  # (F, C/G, KH, KW)
    x_shape: tuple[int, int, int, int]
    out: Pair
    stride: Pair
    padding: Pair
    groups: int


class PoolContext(NamedTuple):
    """Values that max pooling saves for its backward pass."""

    x: Array  # (N, C, H, W)
    y: Array  # (N, C, OH, OW)
    size: Pair
    stride: Pair


class NormContext(NamedTuple):
    """Values that local response normalisation saves for its backward pass."""

    x: Array  # (N, C, ...)
    scale: Array  # (N, C, ...), s of `local_response_norm`
    size: int
    alpha: float
    beta: float


class SoftmaxContext(NamedTuple):
    """Values that softmax and log-softmax save for their backward passes."""

    probabilities: Array
    axis: int


# Half precision ------------------------------------------------------------------------------------------------------


def half_in_float32(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function so that it computes float16 and bfloat16 arrays in float32, and rounds its results once.

    This is for functions that sum: sums of float16 overflow at 65,504 and stop growing long before, and a divisor of
    1e-12 becomes 0. Finite results beyond the range of float16 (or bfloat16) are clipped to it. Contexts stay float32.
    Arrays of different dtypes are passed on unchanged, for the function to refuse.
    """

    @wraps(function)
    def wrapped(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        arrays: list[Any] = [value for value in (*args, *options.values()) if _is_array(value)]
        mixed = any(array.dtype != arrays[0].dtype for array in arrays)  # the function itself will refuse these
        if not arrays or mixed or not is_half(arrays[0]):
            return function(*args, **options)
        wide: Callable[..., Any] = function
        result = wide(*map(widened, args), **{name: widened(value) for name, value in options.items()})
        parts = result if type(result) is tuple else (result,)  # a context is a NamedTuple
        rounded: Any = tuple(_rounded(part, arrays[0].dtype) for part in parts)
        return rounded if type(result) is tuple else rounded[0]

    return wrapped


def is_half(array: Array) -> bool:
    """Return whether an array is real floating with fewer than 32 bits."""
    xp = array_namespace(array)
    return bool(xp.isdtype(array.dtype, "real floating") and xp.finfo(array.dtype).bits < 32)


def widened(value: Any) -> Any:
    """Convert a float16 or bfloat16 array with at least one axis to float32; return anything else unchanged."""
    if not _is_array(value) or not is_half(value):
        return value
    xp = array_namespace(value)
    return xp.astype(value, xp.float32)


def _rounded(value: Any, dtype: Any) -> Any:
    if not hasattr(value, "dtype"):
        return value
    xp = array_namespace(value)
    largest = float(xp.finfo(dtype).max)
    return xp.astype(xp.where(xp.isfinite(value), xp.clip(value, -largest, largest), value), dtype)


def _is_array(value: Any) -> bool:
    """Return whether a value is an array with at least one axis; NumPy scalars, which have none, are options."""
    return hasattr(value, "dtype") and value.ndim > 0


# Checks --------------------------------------------------------------------------------------------------------------


def pair(value: int | Pair, *, name: str, least: int) -> Pair:
    """Return an option as (height, width); one integer stands for both.

    Raises:
        ShapeError: the option is neither an integer nor two integers, or one is below `least`; the message has `name`.
    """
    try:
        height, width = (index(v) for v in (value if isinstance(value, tuple | list) else (value, value)))
    except (TypeError, ValueError):  # not integers, or not two
        height = width = least - 1
    if min(height, width) < least:
        raise ShapeError(f"{name}={value!r}: give an integer of at least {least}, or two (height, width)")
    return height, width


def plain(number: Any) -> Any:
    """Convert a NumPy scalar, which would widen float32 arrays, to a Python number; return anything else unchanged."""
    return number.item() if isinstance(number, np.generic) else number


def check_floating(operation: str, *, real: bool = False, **arrays: Array) -> None:
    """Refuse arrays that are not floating: integer sums would wrap around, and probabilities would be truncated.

    Complex arrays pass, as the complex step of `testing.check_backward` needs them, unless `real` is true.

    Raises:
        ShapeError: an array is refused; the message has `operation` and the array's name.
    """
    kinds = "real floating" if real else ("real floating", "complex floating")
    for name, array in arrays.items():
        if not array_namespace(array).isdtype(array.dtype, kinds):
            raise ShapeError(f"{operation}: {name} is {array.dtype}; pass floating numbers")


def check_gradient(operation: str, gradient: Array, shape: tuple[int, ...]) -> None:
    """Refuse a gradient that a backward function cannot use; `shape` is that of the operation's output.

    Raises:
        ShapeError: the gradient is not floating, or has another shape.
    """
    check_floating(operation, gradient=gradient)
    if tuple(gradient.shape) != tuple(shape):
        raise ShapeError(f"{operation}: gradient has shape {tuple(gradient.shape)}; give the output's, {tuple(shape)}")


def check_gradients(optimiser: str, parameters: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
    """Refuse gradients that an optimiser cannot use.

    Raises:
        ShapeError: a gradient is not floating, or no parameter has its name and shape; the message names it.
    """
    for name, gradient in gradients.items():
        check_floating(optimiser, **{f"the gradient {name}": gradient})
        if name not in parameters or tuple(gradient.shape) != tuple(parameters[name].shape):
            raise ShapeError(
                f"{optimiser}: the gradient {name} of shape {tuple(gradient.shape)} fits no parameter of that name"
            )


def check_conv2d(
    x: Array, weight: Array, bias: Array, stride: int | Pair, padding: int | Pair, groups: int
) -> tuple[Pair, Pair, Pair]:
    """Check the arguments of `conv2d`; return stride, padding and output size, each as (height, width).

    Raises:
        ShapeError: see `conv2d`.
    """
    check_floating("conv2d", x=x, weight=weight, bias=bias)
    stride, padding = pair(stride, name="stride", least=1), pair(padding, name="padding", least=0)
    if x.ndim != 4 or weight.ndim != 4 or bias.ndim != 1:
        raise ShapeError(
            f"conv2d takes x (N, C, H, W), weight (F, C/groups, KH, KW) and bias (F,), "
            f"not {tuple(x.shape)}, {tuple(weight.shape)} and {tuple(bias.shape)}"
        )
    if not x.dtype == weight.dtype == bias.dtype:
        raise ShapeError(f"conv2d: x is {x.dtype}, weight {weight.dtype}, bias {bias.dtype}; convert them to one dtype")
    C, F = x.shape[1], weight.shape[0]
    if groups < 1 or C % groups or F % groups:
        raise ShapeError(f"conv2d: groups={groups} must divide both the {C} channels and the {F} filters")
    if weight.shape[1] != C // groups or 0 in weight.shape[2:] or bias.shape[0] != F:
        raise ShapeError(
            f"conv2d: weight {tuple(weight.shape)} and bias {tuple(bias.shape)} do not fit x with {C} channels "
            f"in {groups} groups: expected weight (F, {C // groups}, KH, KW) and bias (F,)"
        )
    sizes = [_convolved_size(*numbers) for numbers in zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True)]
    return stride, padding, (sizes[0], sizes[1])


def check_max_pool2d(
    shape: tuple[int, ...], size: int | Pair, stride: int | Pair, ceil_mode: bool
) -> tuple[Pair, Pair, Pair]:
    """Check the options of `max_pool2d` for x of this shape; return size, stride, output size, all (height, width).

    Raises:
        ShapeError: see `max_pool2d`; dtypes are not checked.
    """
    size, stride = pair(size, name="size", least=1), pair(stride, name="stride", least=1)
    if len(shape) != 4:
        raise ShapeError(f"max_pool2d takes x (N, C, H, W), not {shape}")
    sizes = [_pooled_size(*numbers, ceil_mode) for numbers in zip(shape[2:], size, stride, strict=True)]
    return size, stride, (sizes[0], sizes[1])


def check_norm_size(size: int) -> None:
    """Refuse a number of neighbouring channels that has no centre.

    Raises:
        ShapeError: size is not odd and positive.
    """
    if size < 1 or size % 2 == 0:
        raise ShapeError(f"local_response_norm: size={size} must be odd and positive, so that its window has a centre")


def _convolved_size(length: int, kernel: int, stride: int, padding: int) -> int:
    if length + 2 * padding < kernel:
        raise ShapeError(f"conv2d: a kernel of {kernel} does not fit a map of {length} with padding {padding}")
    return (length + 2 * padding - kernel) // stride + 1


def _pooled_size(length: int, size: int, stride: int, ceil_mode: bool) -> int:
    steps = length - size
    out = (-(-steps // stride) if ceil_mode else steps // stride) + 1
    if (out - 1) * stride >= length:
        out -= 1
    if out < 1:
        raise ShapeError(f"max_pool2d: a window of {size} with stride {stride} does not fit a map of {length}")
    return out
