"""A make-believe CuPy on NumPy: it refuses what CuPy refuses, and counts what costs time on a GPU.

`installed` puts a module named `cupy` into sys.modules, so that `get_backend("cupy")` and array-api-compat's wrapper of
CuPy run as they would on a GPU. Its arrays

- refuse NumPy arrays as operands, an implicit conversion to NumPy, and use while another device is current;
- stay arrays of no axes where NumPy returns scalars, and are C-ordered unless they are views;
- count kernel launches, waits (`.get()`, float(), bool(), a boolean mask), transfers and the bytes that they take.

Launches are counted as in CuPy 14's sources: `matmul` of more than two axes first copies operands that aren't
C-contiguous; `concatenate` is one kernel, or one per piece above 2 MiB; `pad` fills, and then copies the inside.

Kernels in CUDA C run on the processor, see `kernels_on_cpu`. It cannot tell how a GPU rounds, or how long it takes.
"""

from __future__ import annotations

import importlib
import operator
import sys
import threading
import types
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import array_api_compat
import numpy as np

from tests.gpu.kernels_on_cpu import on_cpu

DEVICES = 2
_thread = threading.local()


class Tally:
    """Counts since the last reset.

    Attributes:
        launches: kernels by name.
        waits: times that the host waited for the device, by cause.
        transfers: copies between host and device, by direction.
        sent: bytes copied to the device.
        held: bytes of all arrays that are alive.
        peak: the largest `held`.
        piece_bytes: pieces above this size are concatenated by a kernel each.
        computes: whether products and kernels in CUDA C are computed, and not counted only.
    """

    def __init__(self) -> None:
        self.piece_bytes, self.held, self.computes = 2 * 1024 * 1024, 0, True
        self.reset()

    def reset(self) -> None:
        self.launches: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.transfers: Counter[str] = Counter()
        self.sent, self.peak = 0, self.held

    def hold(self, made: np.ndarray) -> None:
        """Count the memory of a new array until it is freed."""
        owner = made if made.base is None else made.base
        self._hold(owner.nbytes)
        weakref.finalize(owner, self._hold, -owner.nbytes).atexit = False

    def _hold(self, size: int) -> None:
        self.held += size
        self.peak = max(self.peak, self.held)


tally = Tally()


def _current() -> int:
    return getattr(_thread, "device", 0)


class Device:
    """The current one belongs to the thread, as in CUDA."""

    def __init__(self, device: Any = None) -> None:
        self.id = _current() if device is None else int(device)
        self._before: list[int] = []
        if not 0 <= self.id < DEVICES:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def __int__(self) -> int:
        return self.id

    def __enter__(self) -> Device:
        self._before.append(_current())
        _thread.device = self.id
        return self

    def __exit__(self, *_: object) -> None:
        _thread.device = self._before.pop()

    def use(self) -> None:
        _thread.device = self.id

    def synchronize(self) -> None:
        tally.waits["synchronize"] += 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class ndarray:  # noqa: N801  # CuPy's name
    """An array on a make-believe device."""

    __module__ = "cupy"
    __array_ufunc__ = None  # NumPy's operators leave the work to ours
    __hash__ = None

    def __init__(self, held: np.ndarray, place: int) -> None:
        self.held, self.place = held, place

    shape = property(lambda self: self.held.shape)
    dtype = property(lambda self: self.held.dtype)
    ndim = property(lambda self: self.held.ndim)
    size = property(lambda self: self.held.size)
    nbytes = property(lambda self: self.held.nbytes)
    strides = property(lambda self: self.held.strides)
    flags = property(lambda self: self.held.flags)
    device = property(lambda self: Device(self.place))
    T = property(lambda self: _call("transpose", np.transpose, self))
    real = property(lambda self: _call("real", np.real, self))
    imag = property(lambda self: _call("imag", np.imag, self))

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def get(self) -> np.ndarray:
        tally.waits["get"] += 1
        tally.transfers["to host"] += 1
        return self.held.copy()

    def _scalar(self, kind: Callable[[Any], Any]) -> Any:
        tally.waits[kind.__name__] += 1
        tally.transfers["to host"] += 1
        return kind(self.held)

    def item(self) -> Any:
        return self._scalar(np.ndarray.item)

    def tolist(self) -> Any:
        return self._scalar(np.ndarray.tolist)

    def __float__(self) -> float:
        return float(self._scalar(float))

    def __int__(self) -> int:
        return int(self._scalar(int))

    def __index__(self) -> int:
        return int(self._scalar(operator.index))

    def __bool__(self) -> bool:
        return bool(self._scalar(bool))

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[ndarray]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<make-believe {self.dtype}{list(self.shape)} on {self.place}>"

    def __getitem__(self, key: Any) -> ndarray:
        keys = key if isinstance(key, tuple) else (key,)
        for part in keys:
            if getattr(part, "dtype", None) == np.bool_:
                tally.waits["boolean mask"] += 1
            if isinstance(part, np.ndarray | list):
                tally.transfers["to device"] += 1
        return _call("index", lambda held: held[tuple(map(_bare, keys))], self)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        _check([self, value])
        keys = tuple(map(_bare, key if isinstance(key, tuple) else (key,)))
        target, source = np.asarray(self.held[keys]), _bare(value)
        same = isinstance(source, np.ndarray) and source.__array_interface__ == target.__array_interface__
        if not same:  # x[...] += y assigns the result of its own addition
            tally.launches["copy" if isinstance(source, np.ndarray) else "fill"] += 1
            self.held[keys] = source

    def astype(self, dtype: Any, *, copy: bool = True) -> ndarray:
        return self if not copy and self.dtype == dtype else _call("astype", lambda held: held.astype(dtype), self)

    def copy(self) -> ndarray:
        return _call("copy", np.copy, self)

    def reshape(self, *shape: Any) -> ndarray:
        return _call("reshape", np.reshape, self, shape[0] if isinstance(shape[0], tuple) else shape)


def _reductions_and_operators() -> None:
    def method(name: str) -> Callable[..., ndarray]:
        return lambda self, *args, **kwargs: _call(name, getattr(np, name), self, *args, **kwargs)

    for name in ("sum", "max", "min", "mean", "any", "all", "argmax", "ravel", "transpose", "squeeze"):
        setattr(ndarray, name, method(name))
    binary = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
        "floordiv": np.floor_divide, "mod": np.remainder, "and": np.bitwise_and, "or": np.bitwise_or,
        "xor": np.bitwise_xor, "matmul": np.matmul,
    }  # fmt: skip
    for name, function in binary.items():

        def forward(self: ndarray, other: Any, name: str = name, function: Any = function) -> ndarray:
            return _call(name, function, self, other)

        def backward(self: ndarray, other: Any, name: str = name, function: Any = function) -> ndarray:
            return _call(name, function, other, self)

        def in_place(self: ndarray, other: Any, name: str = name, function: Any = function) -> ndarray:
            _check([self, other])
            tally.launches[name] += 1
            function(self.held, _bare(other), out=self.held)
            return self

        setattr(ndarray, f"__{name}__", forward)
        setattr(ndarray, f"__r{name}__", backward)
        setattr(ndarray, f"__i{name}__", in_place)
    for name, function in {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
                           "eq": np.equal, "ne": np.not_equal}.items():  # fmt: skip
        setattr(ndarray, f"__{name}__", lambda self, other, f=function, n=name: _call(n, f, self, other))
    for name, function in {"neg": np.negative, "invert": np.invert, "abs": np.abs, "pos": np.positive}.items():
        setattr(ndarray, f"__{name}__", lambda self, f=function, n=name: _call(n, f, self))


_reductions_and_operators()


def _bare(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_bare, value))
    return value.held if isinstance(value, ndarray) else value


def _check(values: Any) -> list[np.ndarray]:
    """Return the arrays held by the arguments of one operation; refuse what CuPy refuses."""
    held = []
    for value in values:
        if isinstance(value, list | tuple):
            held += _check(value)
        elif isinstance(value, np.ndarray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        elif isinstance(value, ndarray):
            if value.place != _current():
                raise ValueError(f"array on device {value.place}, while device {_current()} is current")
            held.append(value.held)
    return held


def _call(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    inputs = _check([*args, *kwargs.values()])
    with np.errstate(all="ignore"):
        found = function(*map(_bare, args), **{key: _bare(value) for key, value in kwargs.items()})
    return _wrapped(name, found, inputs)


def _wrapped(name: str, found: Any, inputs: list[np.ndarray]) -> Any:
    if isinstance(found, tuple | list):
        return type(found)(_wrapped(name, part, inputs) for part in found)
    if not isinstance(found, np.ndarray | np.generic):
        return found  # a dtype, a shape
    made = np.asarray(found)
    if any(np.may_share_memory(made, held) for held in inputs):
        return ndarray(made, _current())
    if name != "empty" and name != "empty_like" and made.size:
        tally.launches[name] += _kernels(name, inputs)
    return _new(made)


def _new(made: np.ndarray) -> ndarray:
    made = made if made.flags.c_contiguous else np.ascontiguousarray(made)
    tally.hold(made)
    return ndarray(made, _current())


def _kernels(name: str, inputs: list[np.ndarray]) -> int:
    if name == "matmul" and max(held.ndim for held in inputs) > 2:
        return 1 + sum(not held.flags.c_contiguous for held in inputs)
    if name in ("concatenate", "stack"):
        large = max(held.nbytes for held in inputs) > tally.piece_bytes
        return len(inputs) if large else 1
    return 2 if name == "pad" else 1


def _asarray(value: Any, dtype: Any = None, **_: object) -> ndarray:
    if isinstance(value, ndarray):
        return value if dtype is None else value.astype(dtype, copy=False)
    made = _new(np.array(_bare(value), dtype))
    tally.transfers["to device"] += 1
    tally.sent += made.nbytes
    return made


def _array(value: Any, dtype: Any = None, copy: bool = True, **_: object) -> ndarray:
    made = _asarray(value, dtype)
    return made.copy() if copy and made is value else made


class RawKernel:
    """One kernel in CUDA C."""

    def __init__(self, code: str, name: str, options: tuple[str, ...] = ()) -> None:
        self.code, self.name, self.options = code, name, options

    def __call__(self, grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
        _check(arguments)
        if min(*grid, *block) < 1:
            raise RuntimeError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        if tally.computes:
            on_cpu(self.code, self.name)(*grid, *block, tuple(map(_bare, arguments)))
        tally.launches[self.name] += 1


def _dot(a: ndarray, b: ndarray, out: ndarray) -> ndarray:
    held = _check([a, b, out])
    if not held[2].flags.c_contiguous:
        raise ValueError("Output array must be C-contiguous")
    copies = sum(not (part.flags.c_contiguous or part.flags.f_contiguous) for part in held[:2])
    tally.launches["dot"] += 1 + copies
    if tally.computes:
        np.dot(held[0], held[1], out=held[2])
    return out


def _module() -> dict[str, types.ModuleType]:
    def functions(place: Any) -> dict[str, Any]:
        made = {}
        for name in dir(place):
            thing = getattr(place, name)
            if name.startswith("_") or isinstance(thing, types.ModuleType) or name in ("bool", "ndarray"):
                continue
            plain = isinstance(thing, type) or not callable(thing)
            made[name] = thing if plain else (lambda *a, n=name, f=thing, **k: _call(n, f, *a, **k))
        return made

    names = (
        "cupy",
        "cupy.cuda",
        "cupy.cuda.runtime",
        "cupy.cuda.device",
        "cupy.linalg",
        "cupy.fft",
    )
    modules = {name: types.ModuleType(name) for name in names}
    for module in modules.values():
        module.__path__ = []
    cupy, cuda = modules["cupy"], modules["cupy.cuda"]
    vars(cupy).update(functions(np))
    vars(modules["cupy.linalg"]).update(functions(np.linalg))
    vars(modules["cupy.fft"]).update(functions(np.fft))
    vars(cupy).update(
        ndarray=ndarray, bool=np.bool_, asarray=_asarray, array=_array, cuda=cuda, linalg=modules["cupy.linalg"],
        fft=modules["cupy.fft"], RawKernel=RawKernel, dot=_dot,
        __version__="14.2.0",
    )  # fmt: skip
    stream = type("Stream", (), {"synchronize": lambda self: Device().synchronize()})
    vars(modules["cupy.cuda.runtime"]).update(
        getDeviceCount=lambda: DEVICES,
        getDeviceProperties=lambda index: {"name": b"Make-believe %d" % index, "totalGlobalMem": 8 * 2**30},
        memGetInfo=lambda: (8 * 2**30, 8 * 2**30),
        driverGetVersion=lambda: 12080,
        runtimeGetVersion=lambda: 12060,
    )
    pool = types.SimpleNamespace(
        free_bytes=int, total_bytes=lambda: tally.peak, free_all_blocks=lambda stream=None: None
    )
    vars(cupy).update(get_default_memory_pool=lambda: pool)
    vars(modules["cupy.cuda.device"]).update(Device=Device)
    vars(cuda).update(
        Device=Device, Stream=stream, get_current_stream=stream, is_available=lambda: True,
        runtime=modules["cupy.cuda.runtime"], device=modules["cupy.cuda.device"],
    )  # fmt: skip
    return modules


@contextmanager
def installed() -> Iterator[Tally]:
    """Replace `cupy` in sys.modules inside the block, and yield the counts."""
    wrapper = "array_api_compat.cupy"
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "cupy" or wrapper in name}
    for name in before:
        del sys.modules[name]
    wrapped = vars(array_api_compat).pop("cupy", None)  # where `from array_api_compat import cupy` looks first
    sys.modules |= _module()
    _thread.device = 0
    tally.reset()
    try:
        yield tally
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "cupy" or wrapper in name]:
            del sys.modules[name]
        sys.modules |= before
        vars(array_api_compat).pop("cupy", None)
        vars(array_api_compat).update({} if wrapped is None else {"cupy": wrapped})
        importlib.invalidate_caches()
