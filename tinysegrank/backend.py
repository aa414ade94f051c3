"""Array backends: TINYSEGRANK_BACKEND chooses the library and device on which parameters and inputs are made.

Its values are "numpy", "cupy", "cupy:1", "torch", "torch:cuda:0", "jax" and the like; "cupy:0,1" names several devices,
which worker processes share. There is no fallback: a backend that cannot be used is a BackendError. The variable
concerns only arrays that the program itself makes; every layer takes its namespace from the arrays it is given
(`array_api_compat.array_namespace`), so that a CuPy or torch array passed in just works.

CuPy computes on the current device of the calling thread, not on that of its arguments. SegNet, its training and its
prediction make their own device current; to call layers or losses on another one, do so inside
`with get_backend("cupy:1").active():`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tinysegrank.errors import BackendError
from tinysegrank.parallel import item_number

VARIABLE = "TINYSEGRANK_BACKEND"

Array: TypeAlias = Any
"""An array of any backend; the array API has no static type for it yet."""


@dataclass(frozen=True)
class Backend:
    """An array namespace and the device on which it makes arrays."""

    name: str
    xp: Any
    device: Any

    def asarray(self, array: Any, *, dtype: str | None = None) -> Array:
        """Return an array of any backend as an array of this one, on its device.

        `dtype` is a name such as "float32"; without it the array keeps its own. The result may share memory with
        `array`. CuPy and torch convert float16 to float32 on the GPU, to halve the bytes sent there. JAX makes 64-bit
        numbers 32-bit unless `jax_enable_x64` is set.
        """
        host = to_numpy(array)
        widen = dtype == "float32" and host.dtype == np.float16 and self.kind.endswith(" cuda")
        if dtype is not None and not widen:
            host = host.astype(dtype, copy=False)
        # torch and JAX refuse or warn about read-only memory, negative strides and a foreign byte order
        host = np.require(host, host.dtype.newbyteorder("="), ["C", "W"])
        with self.active():
            made = self.xp.asarray(host, device=self.device)
            return self.xp.astype(made, self.xp.float32) if widen else made

    def active(self) -> AbstractContextManager[Any]:
        """Return a context manager that makes this device CuPy's current one; for other libraries it does nothing."""
        return type(self.device)(self.device.id) if self.name == "cupy" else nullcontext()

    @property
    def kind(self) -> str:
        """Library and kind of device, such as "torch on cuda"; results may differ from one to another."""
        by_library = {"numpy": "cpu", "cupy": "cuda"}.get(self.name)
        return f"{self.name} on {by_library or getattr(self.device, 'platform', getattr(self.device, 'type', '?'))}"

    @property
    def on_host(self) -> bool:
        """Whether the device is the CPU."""
        return self.kind.endswith(" cpu")

    def free_bytes(self) -> int:
        """Return the free memory of a GPU in bytes; 0 on a CPU, and with JAX, which doesn't say."""
        if self.name == "cupy":
            pool = self.xp.get_default_memory_pool()
            with self.active():
                return int(self.xp.cuda.runtime.memGetInfo()[0]) + int(pool.free_bytes())
        if self.name == "torch" and str(self.device).startswith("cuda"):
            return int(importlib.import_module("torch").cuda.mem_get_info(self.device)[0])
        return 0

    def synchronize(self) -> None:
        """Wait until the device has finished all work queued so far; needed only for timing."""
        if self.name == "cupy":
            self.device.synchronize()
        elif self.name == "torch" and str(self.device).startswith("cuda"):
            importlib.import_module("torch").cuda.synchronize(self.device)
        elif self.name == "jax":
            self.xp.zeros(1, device=self.device).block_until_ready()

    def describe(self) -> str:
        """Return one line with the library, its version and the device, such as "numpy 2.1.0 on cpu"."""
        version = importlib.import_module(self.name).__version__
        return f"{self.name} {version} on {self.device}{self._card()}"

    def _card(self) -> str:
        if self.name == "cupy":
            runtime = self.xp.cuda.runtime
            card = runtime.getDeviceProperties(self.device.id)
            versions = [
                f"{v // 1000}.{v % 1000 // 10}" for v in (runtime.driverGetVersion(), runtime.runtimeGetVersion())
            ]
            name, memory = card["name"].decode(), card["totalGlobalMem"]
            about = f", {memory / 2**30:.0f} GiB, CUDA {versions[0]} by the driver, {versions[1]} by CuPy"
        elif self.name == "torch" and str(self.device).startswith("cuda"):
            card = importlib.import_module("torch").cuda.get_device_properties(self.device)
            name, about = card.name, f", {card.total_memory / 2**30:.0f} GiB"
        else:
            return ""
        return f" ({name}{about})"


def get_backend(setting: str | None = None) -> Backend:
    """Return the backend named by `setting`, or else by TINYSEGRANK_BACKEND, or else NumPy.

    If several devices are named, `one_device` chooses.

    Raises:
        BackendError: the name is unknown, the library is not installed, or it has no usable device.
    """
    chosen = one_device(setting)
    name, _, device = chosen.partition(":")
    if name not in _OPENERS:
        raise BackendError(f"{VARIABLE}={chosen}: unknown backend; choose one of {', '.join(_OPENERS)}")
    return _OPENERS[name](device)


def named_devices(setting: str | None = None) -> list[str]:
    """Split a setting into one for each of its devices: "cupy:0,1" gives ["cupy:0", "cupy:1"].

    The default setting is TINYSEGRANK_BACKEND, or else "numpy".
    """
    given = (os.environ.get(VARIABLE, "") if setting is None else setting).strip().lower() or "numpy"
    library, colon, devices = given.rpartition(":")
    return [f"{library}:{device.strip()}" for device in devices.split(",")] if colon else [given]


def one_device(setting: str | None = None) -> str:
    """Return the first of `named_devices`; in joblib's workers, the items of a `parallel_map` take them in turn."""
    settings = named_devices(setting)
    return settings[item_number() % len(settings)]


def check_backends() -> Backend:
    """Open all devices that TINYSEGRANK_BACKEND names, so that an unusable one is found now; return the first.

    Raises:
        BackendError: see `get_backend`.
    """
    first, *_ = map(get_backend, named_devices())
    return first


def to_numpy(array: Any) -> np.ndarray:
    """Return an array of any backend as a NumPy array; one in the host's memory is not copied."""
    if isinstance(array, np.ndarray | np.generic):
        return np.asarray(array)
    if hasattr(array, "detach"):  # torch
        return np.asarray(array.detach().cpu())
    if type(array).__module__.startswith("cupy"):
        return np.asarray(array.get())
    if type(array).__module__.startswith("array_api_strict"):
        return np.asarray(array.to_device(type(array.device)("CPU_DEVICE")))
    return np.asarray(array)


def accelerated() -> bool:
    """Return whether Numba versions may replace readable functions: yes, unless TINYSEGRANK_ACCELERATE=0."""
    return os.environ.get("TINYSEGRANK_ACCELERATE", "1") != "0"


def _import(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a broken installation may raise anything
        missing = isinstance(error, ModuleNotFoundError) and error.name == name
        raise BackendError(
            f"{VARIABLE}={name}: {name} {'is not installed' if missing else 'cannot be imported'} "
            f"({_first_line(error)}); run `pip install '.[{extra}]'` in the checkout, or set {VARIABLE}=numpy"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _open_numpy(device: str) -> Backend:
    if device not in ("", "cpu"):
        raise BackendError(f"{VARIABLE}=numpy:{device}: NumPy has the device cpu only; leave the device out")
    return Backend("numpy", importlib.import_module("array_api_compat.numpy"), "cpu")


def _open_cupy(device: str) -> Backend:
    cupy = _import("cupy", "cuda12")
    about, instead = f"{VARIABLE}=cupy{device and ':'}{device}: CuPy {cupy.__version__}", f"or set {VARIABLE}=numpy"
    driver = f"`nvidia-smi` shows whether the driver works and is recent enough, {instead}"
    libraries = f"install them by `pip install '.[cuda12]'` in the checkout (cuda13 for CUDA 13), {instead}"
    with _trying(f"{about} finds no CUDA device or no driver", driver):
        count = cupy.cuda.runtime.getDeviceCount()
    if (not device.isdecimal() and device) or int(device or 0) >= count:
        there = f"cupy:0 to cupy:{count - 1}" if count > 1 else "cupy:0 only"
        raise BackendError(f"{about} finds {count} CUDA device{'s'[: count > 1]}: choose {there}, {instead}")
    chosen = cupy.cuda.Device(int(device or 0))
    with _trying(f"{about} cannot use the device", driver):
        current = type(chosen)(chosen.id)
    with current:
        with _trying(f"{about} cannot compile or run a kernel: NVRTC or CUDA's headers", libraries):
            (cupy.zeros(1) + 1).get()
        with _trying(f"{about} cannot multiply matrices: cuBLAS", libraries):
            (cupy.ones((2, 2)) @ cupy.ones((2, 2))).get()
    return Backend("cupy", importlib.import_module("array_api_compat.cupy"), chosen)


def _open_torch(device: str) -> Backend:
    torch = _import("torch", "torch")
    finds = f"torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices"
    with _trying(f"{VARIABLE}=torch:{device}: the device is not usable", finds):
        ones = torch.ones((2, 2), device=torch.device(device or "cpu"))
        chosen = (ones @ ones).device  # "cuda" becomes "cuda:0"
    return Backend("torch", importlib.import_module("array_api_compat.torch"), chosen)


def _open_jax(device: str) -> Backend:
    jax = _import("jax", "jax")
    platform, _, index = device.partition(":")
    fault = f"{VARIABLE}=jax:{device}: the device is not usable"
    with _trying(fault, "JAX finds none"):
        found = jax.devices()
    with _trying(fault, f"JAX finds {', '.join(map(str, found))}"):
        chosen = jax.devices(platform or None)[int(index or 0)]
    return Backend("jax", importlib.import_module("jax.numpy"), chosen)


@contextmanager
def _trying(fault: str, advice: str) -> Iterator[None]:
    """Turn any exception in the block, as a broken installation may raise anything, into a BackendError.

    Its message is `fault`, the exception's first line, and `advice`.
    """
    try:
        yield
    except Exception as error:
        raise BackendError(f"{fault} ({type(error).__name__}: {_first_line(error)}); {advice}") from error


_OPENERS: dict[str, Callable[[str], Backend]] = {
    "numpy": _open_numpy,
    "cupy": _open_cupy,
    "torch": _open_torch,
    "jax": _open_jax,
}
