"""The backends: their names, what each of the three errors says, and arrays going in and out."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest

from tests.gpu.make_believe_cupy import installed
from tinysegrank.backend import VARIABLE, Backend, check_backends, get_backend, named_devices, one_device, to_numpy
from tinysegrank.errors import BackendError, TinySegRankError
from tinysegrank.parallel import parallel_map

# Which backend -------------------------------------------------------------------------------------------------------


def test_numpy_unless_another_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert (get_backend().name, get_backend().device) == ("numpy", "cpu")
    monkeypatch.setenv(VARIABLE, "")
    assert get_backend().name == "numpy"


def test_the_variable_is_read_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "abacus")
    with pytest.raises(BackendError, match="abacus"):
        get_backend()
    assert get_backend("numpy").name == "numpy"  # an argument comes first
    monkeypatch.setenv(VARIABLE, "numpy")
    assert get_backend().name == "numpy"


@pytest.mark.parametrize("setting", ["numpy", "NumPy", " numpy ", "numpy:cpu"])
def test_case_and_spaces_do_not_matter(setting: str) -> None:
    assert get_backend(setting).name == "numpy"


@pytest.mark.parametrize(
    ("setting", "device"),
    [("torch", "cpu"), ("torch:cpu", "cpu"), ("torch:meta", "meta"), ("jax", "0"), ("jax:cpu:0", "0")],
)
def test_a_device_may_follow_the_name(setting: str, device: str) -> None:
    name = setting.partition(":")[0]
    pytest.importorskip(name)
    backend = get_backend(setting)
    made = backend.asarray(np.ones(3))
    assert (backend.name, made.device) == (name, backend.device)
    assert device in str(backend.device)


@pytest.mark.parametrize(
    ("setting", "devices"),
    [
        ("", ["numpy"]),
        ("cupy", ["cupy"]),
        ("cupy:1", ["cupy:1"]),
        ("CuPy:0, 1,3", ["cupy:0", "cupy:1", "cupy:3"]),
        ("torch:cuda:0,1", ["torch:cuda:0", "torch:cuda:1"]),
    ],
)
def test_several_devices_may_be_named(setting: str, devices: list[str]) -> None:
    assert named_devices(setting) == devices
    assert one_device(setting) == devices[0]


def test_worker_processes_take_the_devices_named_in_turn() -> None:
    settings = ["torch:cuda:0,1"] * 5
    expected = [f"torch:cuda:{number % 2}" for number in range(5)]
    assert list(parallel_map(one_device, settings, jobs=2)) == expected
    assert list(parallel_map(one_device, settings, jobs=1)) == ["torch:cuda:0"] * 5


def test_all_devices_named_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with installed():
        monkeypatch.setenv(VARIABLE, "cupy:1,0")
        assert str(check_backends().device) == "<CUDA Device 1>"
        monkeypatch.setenv(VARIABLE, "cupy:1,2")
        with pytest.raises(BackendError, match=r"cupy:2: CuPy .* finds 2 CUDA devices"):
            check_backends()


# The first error: no such name ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["abacus", "cuda", "numpy2", ":cpu"])
def test_an_unknown_name_lists_the_names(setting: str) -> None:
    with pytest.raises(BackendError, match=f"{setting}: unknown backend; choose one of numpy, cupy, torch, jax"):
        get_backend(setting)
    assert issubclass(BackendError, TinySegRankError)


# The second: not installed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "extra"), [("cupy", "cuda12"), ("torch", "torch"), ("jax", "jax")])
def test_a_library_that_is_not_installed_names_its_extra(
    name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # makes its import fail
    with pytest.raises(BackendError) as caught:
        get_backend(name)
    message = str(caught.value)
    assert f"{VARIABLE}={name}: {name} is not installed" in message
    assert f"pip install '.[{extra}]'" in message
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_library_that_fails_to_import_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(BackendError, match=r"torch cannot be imported \(libcudart.*; run `pip install"):
        get_backend("torch")


def test_only_the_first_line_of_what_a_library_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's message about an unknown device has 70 lines."""
    torch = pytest.importorskip("torch")

    def ones(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel for this device\n" + "registered at RegisterCPU.cpp\n" * 70)

    monkeypatch.setattr(torch, "ones", ones)
    with pytest.raises(BackendError) as caught:
        get_backend("torch")
    assert "no kernel for this device" in str(caught.value)
    assert "\n" not in str(caught.value)


# The third: no device that works -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "fault", "advice"),
    [
        ("cuda.runtime.getDeviceCount", "finds no CUDA device or no driver", "nvidia-smi"),
        ("zeros", "cannot compile or run a kernel: NVRTC", r"\.\[cuda12\].*cuda13 for CUDA 13"),
        ("ones", "cannot multiply matrices: cuBLAS", r"\.\[cuda12\].*cuda13 for CUDA 13"),
    ],
)
def test_cupy_tells_driver_compiler_and_blas_apart(
    broken: str, fault: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("libnvrtc.so.12: cannot open shared object file\nand more")

    with installed():
        monkeypatch.setattr(f"cupy.{broken}", fail)
        with pytest.raises(BackendError, match=rf"CuPy 14\.2\.0 {fault}.*libnvrtc.*; .*{advice}.*{VARIABLE}=numpy"):
            get_backend("cupy")


@pytest.mark.parametrize("setting", ["cupy:2", "cupy:gpu", "cupy:-1", "cupy:1.5"])
def test_cupy_lists_the_devices_there_are(setting: str) -> None:
    with installed(), pytest.raises(BackendError, match=rf"{setting}: CuPy.* finds 2 .*choose cupy:0 to cupy:1, or"):
        get_backend(setting)


@pytest.mark.parametrize("setting", ["torch:abacus", "torch:cuda:99"])
def test_torch_without_the_device_says_what_it_sees(setting: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(BackendError, match=f"{setting}: the device is not usable .* sees {torch.cuda.device_count()}"):
        get_backend(setting)


@pytest.mark.parametrize("setting", ["jax:abacus", "jax:cpu:99", "jax:cpu:first"])
def test_jax_without_the_device_says_what_it_finds(setting: str) -> None:
    pytest.importorskip("jax")
    with pytest.raises(BackendError, match=rf"{setting}: the device is not usable .*JAX finds .*[:_]0"):
        get_backend(setting)


def test_jax_without_any_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with JAX_PLATFORMS=cuda where there is no GPU."""

    def devices(platform: str | None = None) -> list[Any]:
        raise RuntimeError("Unable to initialize backend 'cuda'")

    jax = types.ModuleType("jax")
    vars(jax).update(devices=devices)
    monkeypatch.setitem(sys.modules, "jax", jax)
    with pytest.raises(BackendError, match=r"the device is not usable .*Unable to initialize.*JAX finds none"):
        get_backend("jax")


def test_numpy_has_the_cpu_only() -> None:
    with pytest.raises(BackendError, match="numpy:cuda: NumPy has the device cpu only"):
        get_backend("numpy:cuda")


def test_nothing_else_is_imported_for_numpy() -> None:
    code = (
        "import sys; from tinysegrank.backend import get_backend; get_backend('numpy').asarray([1.0]);"
        "print({'torch', 'jax', 'cupy'} & sys.modules.keys())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


# Arrays in and out ---------------------------------------------------------------------------------------------------


def test_arrays_come_back_as_they_went(backend: Backend, rng: np.random.Generator) -> None:
    for host in (
        rng.standard_normal((2, 3)),
        rng.standard_normal((2, 3)).astype(np.float32),
        np.arange(6).reshape(2, 3),
        np.array([True, False]),
        np.array(2.5),
        np.zeros((0, 3)),
    ):
        made = backend.asarray(host)
        assert tuple(made.shape) == host.shape
        assert made.device == backend.device
        if str(backend.device) == "meta":
            continue
        back = to_numpy(made)
        assert isinstance(back, np.ndarray)
        assert back.dtype == host.dtype
        np.testing.assert_array_equal(back, host)


def test_the_dtype_asked_for(backend: Backend) -> None:
    for name in ("float32", "float64", "int64"):
        assert backend.asarray(np.arange(3), dtype=name).dtype == getattr(backend.xp, name)


def test_host_arrays_that_libraries_refuse(backend: Backend) -> None:
    """Read-only, stepping backwards, with gaps, of a foreign byte order: as flipped images and mapped files are."""
    plain = np.arange(12.0).reshape(3, 4)
    read_only = plain.copy()
    read_only.flags.writeable = False
    for host in (read_only, plain[::-1], plain[:, ::-2], plain.T, plain.astype(">f8"), plain.astype(">f4")):
        before = host.copy()
        made = backend.asarray(host)
        assert tuple(made.shape) == host.shape
        if str(backend.device) != "meta":
            np.testing.assert_array_equal(to_numpy(made), before)
        np.testing.assert_array_equal(host, before)


def test_arrays_of_another_backend_are_taken(backend: Backend) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(3.0, requires_grad=True)
    made = backend.asarray(tensor)
    assert made.device == backend.device
    if str(backend.device) != "meta":
        np.testing.assert_array_equal(to_numpy(made), [0.0, 1.0, 2.0])


def test_to_numpy_hands_numpy_through() -> None:
    array = np.arange(3)
    assert to_numpy(array) is array
    scalar = to_numpy(np.float32(1.5))
    assert (type(scalar), scalar.dtype, scalar.shape) == (np.ndarray, np.float32, ())
    np.testing.assert_array_equal(to_numpy([1, 2]), [1, 2])


def test_describe_names_library_version_and_device(backend: Backend) -> None:
    library = sys.modules[backend.name]
    assert backend.describe().startswith(f"{backend.name} {library.__version__} on {backend.device}")


def test_synchronize_waits_for_work_in_flight() -> None:
    """JAX returns at once on a CPU too; on CUDA tests/gpu/test_device.py times with it."""
    jax = pytest.importorskip("jax")
    work = jax.jit(lambda x: jax.lax.fori_loop(0, 60, lambda _, y: y @ x, x))
    x = jax.numpy.ones((300, 300)) / 300
    work(x).block_until_ready()  # compiled
    result = work(x)
    get_backend("jax:cpu").synchronize()
    assert result.is_ready()


def test_backends_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot assign"):
        get_backend("numpy").name = "torch"
