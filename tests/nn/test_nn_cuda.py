"""The CUDA versions against the readable functions: run on the processor, and compiled for GPUs.

Convolutions differ in the order of their sums, normalisation in the rounding of its power; all else is equal to the
bit.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinysegrank.nn.cuda
from tests.gpu.kernels_on_cpu import on_cpu, parameters_of
from tests.gpu.make_believe_cupy import installed, tally
from tests.nn.nn_versions import LAYOUTS
from tinysegrank import nn
from tinysegrank.backend import Backend, get_backend, to_numpy
from tinysegrank.errors import ShapeError
from tinysegrank.nn.arguments import NormContext
from tinysegrank.nn.cuda import conv, kernel

FOLDER = Path(tinysegrank.nn.cuda.__file__).parent
NAN = float("nan")


def kernels() -> dict[str, kernel.Kernel]:
    """All kernels of the folder, by name."""
    modules = [importlib.import_module(f"tinysegrank.nn.cuda.{path.stem}") for path in sorted(FOLDER.glob("[!_]*.py"))]
    found = [thing for module in modules for thing in vars(module).values() if isinstance(thing, kernel.Kernel)]
    return {one.name: one for one in found}


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "1")
    with installed():
        yield get_backend("cupy")


def both(cupy: Backend, run: Callable[..., Any], *arrays: np.ndarray) -> tuple[list[Any], list[Any], int]:
    """Return the results of CUDA versions, from strided arrays, and of the readable functions, and the launches."""
    on_device = [cupy.xp.permute_dims(cupy.asarray(array.T), tuple(range(array.ndim))[::-1]) for array in arrays]
    tally.reset()
    found = [to_numpy(array) for array in run(*on_device)]
    launches = tally.launches.total()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSEGRANK_ACCELERATE", "0")
        return found, list(run(*arrays)), launches


def values(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Float32 with ties, zeros of both signs and large numbers."""
    drawn = np.round(rng.standard_normal(shape) * 4) / 2
    return (drawn * rng.choice([1, 1, 1, -1e4], shape)).astype(np.float32)


# Equal to the bit ----------------------------------------------------------------------------------------------------

WINDOWS = [  # map, kernel, stride, padding
    ((5, 6), (3, 3), (1, 1), (1, 1)),
    ((9, 8), (2, 3), (2, 1), (0, 2)),
    ((11, 13), (5, 5), (4, 4), (2, 1)),
    ((4, 4), (1, 1), (3, 2), (0, 0)),
]


@pytest.mark.parametrize(("shape", "size", "stride", "padding"), WINDOWS)
def test_windows(cupy: Backend, rng: np.random.Generator, shape: Any, size: Any, stride: Any, padding: Any) -> None:
    out = tuple((shape[i] + 2 * padding[i] - size[i]) // stride[i] + 1 for i in (0, 1))
    x, windows = values(rng, 3, 2, *shape), values(rng, 3, size[0] * size[1], 2, *out)

    def run(x: Any, windows: Any) -> Any:
        extracted = nn.extract_windows(x, size, stride, out, padding)
        return extracted, nn.scatter_windows(windows, (3, 2, *shape), size, stride, padding)

    found, expected, launches = both(cupy, run, x, windows)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert launches == 3  # one of them brings the windows into C order


@pytest.mark.parametrize("shape", [(5, 7), (6, 6), (13, 4), (2, 3)])
@pytest.mark.parametrize("options", [{}, {"size": (2, 3), "stride": (1, 2)}, {"size": 2, "stride": 3}])
def test_max_pool2d(cupy: Backend, rng: np.random.Generator, shape: Any, options: Any) -> None:
    x = values(rng, 2, 3, *shape)
    x[0, 1, 1, 1] = NAN
    gradient = values(rng, *nn.max_pool2d(x, **options)[0].shape)

    def run(x: Any, gradient: Any) -> Any:
        y, context = nn.max_pool2d(x, **options)
        return y, nn.max_pool2d_backward(gradient, context)

    found, expected, launches = both(cupy, run, x, gradient)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert launches == 4  # two of them bring the arrays into C order


def test_relu(cupy: Backend, rng: np.random.Generator) -> None:
    x, gradient = values(rng, 2, 3, 4), values(rng, 2, 3, 4)
    x[0, 0, 0] = NAN

    def run(x: Any, gradient: Any) -> Any:
        y, positive = nn.relu(x)
        return y, positive, nn.relu_backward(gradient, positive)

    found, expected, launches = both(cupy, run, x, gradient)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert launches == 4


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.999])
@pytest.mark.parametrize("before", [0, 1, 2, 1000])
def test_dropout_drops_what_numpys_generator_drops(cupy: Backend, p: float, before: int) -> None:
    """And leaves the generator where NumPy leaves it, also with half a draw left over and for an odd number."""
    for shape in ((3, 4, 5, 6), (7, 3, 3), (1024, 2)):
        x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 5
        generators = [np.random.default_rng([0, 5, 1]) for _ in range(2)]
        for generator in generators:
            generator.random(before, dtype=np.float32)
        y, scale = nn.dropout(cupy.asarray(x), p=p, rng=generators[0])
        keep = generators[1].random(shape, dtype=np.float32) >= np.float32(p)
        np.testing.assert_array_equal(to_numpy(scale), keep * np.float32(1 / (1 - p)))
        np.testing.assert_array_equal(to_numpy(y), x * (keep * np.float32(1 / (1 - p))))
        assert generators[0].random() == generators[1].random()


def test_dropout_draws_on_the_device_where_it_can(cupy: Backend) -> None:
    x = cupy.asarray(np.ones((2, 8), np.float32))
    for rng, transfers in ((np.random.default_rng(0), 0), (np.random.Generator(np.random.MT19937(0)), 1)):
        tally.reset()
        nn.dropout(x, p=0.5, rng=rng)
        assert tally.transfers.total() == transfers


# Equal but for rounding ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"size": 3, "alpha": 0.5, "beta": 0.6, "k": 2.0}, {"size": 1}, {"size": np.int64(9), "k": np.float64(0.9)}],
)
@pytest.mark.parametrize("shape", [(2, 7, 3, 4), (1, 1, 2, 2), (3, 5), (2, 4, 6)])
def test_local_response_norm(cupy: Backend, rng: np.random.Generator, shape: Any, options: Any) -> None:
    x, gradient = (rng.standard_normal(shape).astype(np.float32) * 3 for _ in range(2))

    def run(x: Any, gradient: Any) -> Any:
        y, context = nn.local_response_norm(x, **options)
        assert isinstance(context, NormContext)
        return context.scale, y, nn.local_response_norm_backward(gradient, context)

    found, expected, launches = both(cupy, run, x, gradient)
    np.testing.assert_array_equal(found[0], expected[0])
    for one, other in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=2e-6)
    assert launches <= 4


@pytest.mark.parametrize("images_a_part", [1, 2, 5])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("shape", "size", "stride", "padding"), WINDOWS)
def test_conv2d(
    cupy: Backend,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    shape: Any,
    size: Any,
    stride: Any,
    padding: Any,
    groups: int,
    images_a_part: int,
) -> None:
    """Parts of one image, of two with a last one of one, and of all."""
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((5, 4, *shape), (6, 4 // groups, *size), 6))
    options = {"stride": stride, "padding": padding, "groups": groups}
    gradient = rng.standard_normal(nn.conv2d(x, weight, bias, **options)[0].shape).astype(np.float32)
    one_image = 4 * 4 * math.prod((*size, *gradient.shape[2:]))  # bytes of its columns
    monkeypatch.setattr(conv, "TRAINED", (images_a_part + 1) * one_image - 1)

    def run(*arrays: Any) -> Any:
        y, context = nn.conv2d(*arrays[:3], **options)
        return y, *nn.conv2d_backward(arrays[3], context)

    found, expected, _ = both(cupy, run, x, weight, bias, gradient)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    parts = -(-5 // images_a_part)
    assert tally.launches["tinysegrank_extract_windows"] == 2 * parts
    assert tally.launches["tinysegrank_add_bias"] == tally.launches["tinysegrank_scatter_windows"] == parts


def test_conv2d_holds_its_input_only(cupy: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """No columns between the passes, and those of one part at a time in both."""
    x, weight = (cupy.asarray(np.ones(shape, np.float32)) for shape in ((16, 8, 20, 20), (8, 8, 5, 5)))
    one_image = 4 * 8 * 25 * 16 * 16  # bytes of its columns
    monkeypatch.setattr(conv, "TRAINED", 2 * one_image)
    tally.reset()
    before = tally.held
    y, context = nn.conv2d(x, weight)
    assert tally.held - before == y.nbytes
    assert tally.peak - before < 2 * one_image + 1.5 * y.nbytes
    tally.reset()
    before = tally.held
    gradients = nn.conv2d_backward(y, context)
    made = sum(array.nbytes for array in gradients if array is not None)
    assert 0 <= tally.held - before - made < 100
    assert tally.peak - before < 2 * one_image + made + 1.5 * y.nbytes


def test_conv2d_backward_takes_a_gradient_in_float64_and_may_have_nothing_to_do(cupy: Backend) -> None:
    x, weight, gradient = (cupy.asarray(np.ones((2, 2, size, size), np.float32)) for size in (5, 3, 3))
    _, context = nn.conv2d(x, weight)
    single, double = (nn.conv2d_backward(g, context) for g in (gradient, cupy.xp.astype(gradient, np.float64)))
    for one, other in zip(single, double, strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))
    assert nn.conv2d_backward(gradient, context, needs=(False, False, False)) == (None, None, None)


def test_a_relu_after_a_convolution_costs_no_kernel_in_evaluation(cupy: Backend, rng: np.random.Generator) -> None:
    def layers(backend: Backend) -> nn.Sequential:
        made = [
            nn.Conv2d.initialised(3, 4, 3, rng=np.random.default_rng(0), backend=backend),
            nn.ReLU(),
            nn.ReLU(),
            nn.MaxPool2d(),
            nn.Conv2d.initialised(4, 5, 2, rng=np.random.default_rng(1), backend=backend, bias=False),
            nn.ReLU(),
            nn.Conv2d.initialised(5, 4, 1, rng=np.random.default_rng(2), backend=backend),
        ]
        return nn.Sequential(made)

    x = rng.standard_normal((2, 3, 11, 12)).astype(np.float32)
    expected = layers(get_backend("numpy"))(x)
    network, x = layers(cupy), cupy.asarray(x)
    tally.reset()
    np.testing.assert_allclose(to_numpy(network(x)), expected, rtol=1e-4, atol=1e-5)
    assert tally.launches["tinysegrank_relu"] == 2
    assert tally.launches["tinysegrank_add_bias"] == 3


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("names", ["softmax", "log_softmax"])
def test_softmax(cupy: Backend, rng: np.random.Generator, names: str, axis: int) -> None:
    x, gradient = (rng.standard_normal((3, 5, 4)).astype(np.float32) * 30 for _ in range(2))
    forward, backward = getattr(nn, names), getattr(nn, f"{names}_backward")

    def run(x: Any, gradient: Any) -> Any:
        y, context = forward(x, axis=axis)
        return y, context.probabilities, backward(gradient, context)

    found, expected, launches = both(cupy, run, x, gradient)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-5)
    assert launches == 4  # two of them bring the arrays into C order


@pytest.mark.parametrize("max_norm", [None, 1e-3, 5.0, 1e6])
@pytest.mark.parametrize("size", [(3,), (70, 80)])
def test_sgd(cupy: Backend, rng: np.random.Generator, max_norm: float | None, size: tuple[int, ...]) -> None:
    arrays = [rng.standard_normal(size).astype(np.float32) for _ in range(4)]

    def run(*arrays: Any) -> Any:
        w, *gradients = arrays
        sgd, parameters = nn.SGD(rate=0.1, decay=0.2, max_norm=max_norm), {"a": w, "b": w}
        for gradient in gradients:
            parameters = sgd.step(parameters, {"a": gradient, "b": gradient * 2.0})
        return *parameters.values(), *sgd.velocity.values()

    found, expected, _ = both(cupy, run, *arrays)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    if max_norm in (None, 1e6):  # nothing to clip
        np.testing.assert_array_equal(found[0], expected[0])


# What takes the readable functions -----------------------------------------------------------------------------------


def test_layouts_and_other_dtypes(cupy: Backend, rng: np.random.Generator) -> None:
    """Strided arrays are read right; float64 takes the readable functions."""
    for change in LAYOUTS.values():
        x = rng.standard_normal((2, 4, 6, 5)).astype(np.float32)
        strided = change(x)
        on_device = type(cupy.asarray(x))(strided, 0)
        np.testing.assert_array_equal(to_numpy(nn.max_pool2d(on_device)[0]), nn.max_pool2d(strided)[0])
    tally.reset()
    nn.relu(cupy.asarray(np.ones((2, 2))))
    assert "tinysegrank_relu" not in tally.launches


def test_acceleration_can_be_turned_off(cupy: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEGRANK_ACCELERATE", "0")
    tally.reset()
    nn.relu(cupy.asarray(np.ones((2, 2), np.float32)))
    assert "tinysegrank_relu" not in tally.launches


def test_each_cupy_has_kernels_of_its_own() -> None:
    """Were they shared, a real one would start the make-believe one's on the processor, or the other way round."""
    made = []
    for _ in range(2):
        with installed():
            cupy, relu = sys.modules["cupy"], kernels()["tinysegrank_relu"]
            made.append(kernel._compiled(cupy, relu))
            assert kernel._compiled(cupy, relu) is made[-1]
    assert made[0] is not made[1]


def test_more_entries_than_threads_can_number_are_refused(cupy: Backend) -> None:
    with pytest.raises(ShapeError, match="2,147,483,647 entries are too many"):
        next(iter(kernels().values()))(2**31 - 1)


# The stand-in and the compiler ---------------------------------------------------------------------------------------


def test_arguments_that_do_not_fit_are_refused() -> None:
    """Were they not, a kernel could read nonsense on a GPU while the tests pass."""
    source = (
        'extern "C" __global__ void fill(int count, float* y, float value) { if (threadIdx.x < count) y[0] = value; }'
    )
    assert parameters_of(source) == {"count": "int", "y": "float*", "value": "float"}
    y = np.zeros(1, np.float32)
    run = on_cpu(source, "fill")
    run(1, 1, (np.int32(1), y, np.float32(2)))
    assert y[0] == 2
    for wrong in ((np.int64(1), y, np.float32(2)), (np.int32(1), y.astype(float), np.float32(2)), (np.int32(1), y)):
        with pytest.raises(AssertionError):
            run(1, 1, wrong)


def _nvrtc() -> ctypes.CDLL:
    """The compiler, from its wheel or CUDA's; it needs no driver."""
    spec = importlib.util.find_spec("nvidia")
    places = [Path(place) for place in spec.submodule_search_locations or ()] if spec is not None else []
    libraries = [path for place in places for path in sorted(place.glob("*/lib/libnvrtc.so.*"))]
    if not libraries:
        pytest.skip("NVRTC is not installed; run `pip install nvidia-cuda-nvrtc-cu12`")
    return ctypes.CDLL(str(libraries[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("name", kernels())
def test_kernels_compile_for_gpus(name: str, architecture: str) -> None:
    nvrtc, program, source = _nvrtc(), ctypes.c_void_p(), kernels()[name].source
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None) == 0
    # CuPy adds these; by -ftz denormal numbers become 0
    added = ("-std=c++17", "-ftz=true", f"-arch={architecture}", "--device-as-default-execution-space")
    options = [option.encode() for option in (*kernel.OPTIONS, *added)]
    failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert not failed, log.value.decode()
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    assert size.value > 1000
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
