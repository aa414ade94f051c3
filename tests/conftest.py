"""What all tests share: hypothesis profiles, a seeded generator, every array backend, what needs data or a GPU, and a
summary of what was checked."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import array_api_strict
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from tinysegrank import compiled_cache
from tinysegrank.backend import Array, Backend, get_backend
from tinysegrank.errors import BackendError

if TYPE_CHECKING:
    from tinysegrank.experiment import Run, Settings

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # worker processes import `tests` too; last, so that an installed package comes first
    sys.path.append(str(ROOT))
pytest.register_assert_rewrite("tests.operations", "tests.html_pages")

from tests.gpu.make_believe_cupy import installed  # noqa: E402  # found by the line above

settings.register_profile("dev", deadline=None, max_examples=60)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=60,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("intense", deadline=None, max_examples=2000)
settings.register_profile(  # for mutation testing, where a failure need not be made small
    "quick", deadline=None, max_examples=20, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


compiled_cache._say_once()  # here, or a command says it whose output is tested, where the cache is cold


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every test, whatever ran before."""
    return np.random.default_rng(0)


# Backends ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadOnlyNumPy(Backend):
    """NumPy whose arrays refuse writes, so that an operation that changes its input fails."""

    def asarray(self, array: Array, *, dtype: str | None = None) -> Array:
        made = np.array(super().asarray(array, dtype=dtype))
        made.flags.writeable = False
        return made


def _numpy() -> Backend:
    return get_backend("numpy")


def _read_only_numpy() -> Backend:
    return ReadOnlyNumPy(**vars(get_backend("numpy")))


def _array_api_strict() -> Backend:
    """Nothing but the standard, on a device that is not the default: catches a forgotten device=, mixed dtypes."""
    return Backend("array_api_strict", array_api_strict, array_api_strict.Device("device1"))


BACKENDS = {
    "numpy": _numpy,
    "numpy-readonly": _read_only_numpy,
    "array-api-strict": _array_api_strict,
    "torch": functools.partial(get_backend, "torch"),
    "torch-meta": functools.partial(get_backend, "torch:meta"),  # shapes without values: catches hidden synchronisation
    "jax": functools.partial(get_backend, "jax:cpu"),
    "make-believe-cupy": functools.partial(get_backend, "cupy"),  # on NumPy: refuses what CuPy refuses
    "cupy": functools.partial(get_backend, "cupy"),
}


MARKS = {"cupy": pytest.mark.gpu, "jax": pytest.mark.slow}  # JAX compiles each function for each shape


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name, ())) for name in BACKENDS])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Every backend in turn; JAX in 64 bits, so that a float64 that creeps in is seen."""
    with installed() if request.param == "make-believe-cupy" else nullcontext():
        try:
            made = BACKENDS[request.param]()
        except BackendError as error:  # the gpu marker has dealt with CuPy
            pytest.skip(str(error))
        request.node.user_properties.append(("backend", request.param))
        if made.name != "jax":
            yield made
            return
    config = importlib.import_module("jax").config
    before = config.jax_enable_x64
    config.update("jax_disable_most_optimizations", True)  # compiling takes far longer than running
    config.update("jax_enable_x64", True)
    yield made
    config.update("jax_enable_x64", before)


# What a machine may lack ---------------------------------------------------------------------------------------------


@functools.cache
def _why_no_gpu() -> str:
    """Why CuPy cannot be used here, in the library's own words; empty where it can."""
    try:
        get_backend("cupy")
    except BackendError as error:
        return str(error)
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None or not (reason := _why_no_gpu()):
        return
    if os.environ.get("TINYSEGRANK_REQUIRE_GPU") == "1":
        pytest.fail(f"TINYSEGRANK_REQUIRE_GPU=1, but {reason}", pytrace=False)
    pytest.skip(reason)


def _place(variable: str, content: str) -> Path:
    """The path that an environment variable names; skips where it is unset, fails where it is wrong."""
    if not (setting := os.environ.get(variable)):
        pytest.skip(f"{variable} is not set; point it at {content}")
    path = Path(setting)
    assert path.exists(), f"{variable}={setting} does not exist; point it at {content}"
    return path


@pytest.fixture(scope="session")
def voc_root() -> Path:
    """The folder of PASCAL VOC 2012 that holds JPEGImages/. Mark tests that use it `voc`."""
    return _place("TINYSEGRANK_VOC", "the VOC2012 folder that holds JPEGImages/")


@pytest.fixture(scope="session")
def alexnet_weights() -> Path:
    """A file with the weights of AlexNet. Mark tests that use it `voc`."""
    return _place("TINYSEGRANK_WEIGHTS", "a file with the weights of AlexNet")


# A run that is finished -----------------------------------------------------------------------------------------------


def tiny_settings(voc: Path) -> Settings:
    """The smallest experiment that does everything."""
    from tinysegrank.experiment import named_settings
    from tinysegrank.experiment.proposal_settings import CrfSettings, ProposalSettings
    from tinysegrank.experiment.settings import TrainingSettings
    from tinysegrank.segnet import TrainingOptions

    def steps(loss: str) -> TrainingOptions:
        return TrainingOptions(loss, steps=4, rate=0.02, batch=8)

    demo = named_settings("demo")
    return replace(
        demo,
        data=replace(demo.data, voc=str(voc)),
        trunk=replace(demo.trunk, pretrain_images=24, pretrain_steps=3, chunk=4),
        training=TrainingSettings(0.0, steps("ce"), steps("ce"), steps("uoi"), steps("iou"), steps("uoi+ce")),
        superpixels=replace(demo.superpixels, segments=60),
        proposals=ProposalSettings(count=4, crf=CrfSettings(strengths=(4.0,), lambdas=(0.3,), choice_images=4)),
        ranking=replace(demo.ranking, C=(0.01, 1.0), splits=2),
        report=replace(demo.report, panels=2),
    )


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny finished run. Read it; copy it before changing anything."""
    from tinysegrank.experiment import Silent, run_experiment
    from tinysegrank.voc import make_toy_voc

    folder = tmp_path_factory.mktemp("tiny")
    make_toy_voc(folder / "voc", train=10, val=6, seed=5)
    return run_experiment(folder / "run", tiny_settings(folder / "voc"), jobs=1, progress=Silent())


@pytest.fixture(scope="session")
def evidence(tiny_run: Run) -> Path:
    """The folder with all pieces of evidence of the tiny run, of the seeds 0 and 3."""
    from tinysegrank.evidence import collect_evidence
    from tinysegrank.experiment import Silent

    collect_evidence(tiny_run.path, ("all",), seeds=(0, 3), jobs=1, progress=Silent())
    return tiny_run.path / "evidence"


# The summary ---------------------------------------------------------------------------------------------------------
# Tests note what they check in their `user_properties`, which pytest-xdist hands to the process that adds them up.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Count the examples of a property test that run to their end."""
    property_test = getattr(getattr(item, "obj", None), "hypothesis", None)
    if property_test is None:
        return (yield)
    inner, examples = property_test.inner_test, 0

    @functools.wraps(inner)
    def counted(*args: Any, **kwargs: Any) -> None:
        nonlocal examples
        inner(*args, **kwargs)
        examples += 1

    property_test.inner_test = counted
    try:
        return (yield)
    finally:
        property_test.inner_test = inner
        item.user_properties.append(("examples", examples))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was checked by the tests that ran and passed."""

    def noted(name: str, outcome: str = "passed") -> list[tuple[str, Any]]:
        """The test functions that noted something under this name, and what."""
        return [
            (report.nodeid.partition("[")[0], value)
            for report in terminalreporter.getreports(outcome)
            for key, value in report.user_properties
            if key == name
        ]

    lines = []
    if examples := noted("examples"):
        functions = {function for function, _ in examples}
        lines.append(f"property tests: {len(functions)}, with {sum(count for _, count in examples):,} examples")
    if mutants := len(noted("mutant")) + len(noted("mutant", "failed")):
        lines.append(f"mutants: {len(noted('mutant'))} of {mutants} caught")
    if cases := [value for _, value in noted("onnx")]:
        passing, left_out = map(sum, zip(*cases, strict=True))
        lines.append(f"ONNX node cases: {passing} pass, {left_out} not applicable")
    if backends := Counter(value for _, value in noted("backend")):
        lines.append("tests on backends: " + ", ".join(f"{b} {backends[b]}" for b in BACKENDS if backends[b]))
    if lines:
        terminalreporter.section("what was checked")
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture
def default_signals():
    """Let the signals that end a command act as in a terminal, also where nohup or a background job ignores them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
