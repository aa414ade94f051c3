"""The checks catch mistakes: one is put into a module's source at a time, and its check must fail.

The check of a module is the gradient checker on its functions and their parity with naive loops. The mistakes are those
one makes by hand: a wrong sign, a dropped term, a window off by one, a forgotten 1/n, group or weight.
"""

from __future__ import annotations

import ast
import importlib
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn import nn_loops
from tests.nn.nn_mutants import MUTANTS
from tests.nn.nn_operations import spaced_values
from tests.operations import assert_close
from tinysegrank import nn
from tinysegrank.errors import ShapeError
from tinysegrank.testing import check_backward

Module = Any


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# The check of each module --------------------------------------------------------------------------------------------


def check_conv(module: Module) -> None:
    x, weight, bias = (rng().standard_normal(shape) for shape in [(2, 4, 6, 5), (6, 2, 3, 2), (6,)])
    forward = partial(module.conv2d, stride=(2, 1), padding=(1, 2), groups=2)
    check_backward(forward, module.conv2d_backward, [x, weight, bias])
    assert_close(forward(x, weight, bias)[0], nn_loops.conv2d(x, weight, bias, (2, 1), (1, 2), 2))


def check_pool(module: Module) -> None:
    for shape, size, stride in [((2, 2, 8, 7), (3, 3), (2, 2)), ((1, 1, 5, 3), (2, 1), (3, 3))]:
        forward = partial(module.max_pool2d, size=size, stride=stride)
        check_backward(forward, module.max_pool2d_backward, [spaced_values(rng(), shape)])
        x = rng().integers(0, 3, shape).astype(float)  # with ties
        y, context = forward(x)
        assert_close(y, nn_loops.max_pool2d(x, size, stride))
        g = 1.0 + np.arange(y.size).reshape(y.shape)
        gx = module.max_pool2d_backward(g, context)
        assert_close(gx, nn_loops.max_pool2d_backward(g, x, size, stride))


def check_arguments(module: Module) -> None:
    """By the pooling that imports it, at a size where rounding up and down differ."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tinysegrank.nn.arguments", module)
        pool = module_of("nn.pool")
    check_pool(pool)
    try:
        pool.max_pool2d(np.ones((1, 1, 4, 4), np.uint8))
    except ShapeError:
        return
    raise AssertionError("integers are pooled")


def check_lrn(module: Module) -> None:
    options = {"size": 5, "alpha": 0.8, "beta": 0.6, "k": 1.3}
    x = rng().standard_normal((2, 7, 2, 2))
    forward = partial(module.local_response_norm, **options)
    check_backward(forward, module.local_response_norm_backward, [x], method="complex-step")
    assert_close(forward(x)[0], nn_loops.local_response_norm(x, **options))


def check_relu(module: Module) -> None:
    x = spaced_values(rng(), (3, 4, 2))
    check_backward(module.relu, module.relu_backward, [x])
    x.flat[::3] = 0.0
    y, context = module.relu(x)
    assert_close(y, nn_loops.relu(x))
    np.testing.assert_array_equal(module.relu_backward(np.ones_like(x), context), x > 0)


def check_softmax(module: Module) -> None:
    x = rng().standard_normal((2, 4, 3))
    for name, by_loops in (("softmax", nn_loops.softmax), ("log_softmax", nn_loops.log_softmax)):
        forward, backward = getattr(module, name), getattr(module, f"{name}_backward")
        check_backward(forward, backward, [x], method="complex-step")
        assert_close(forward(x)[0], by_loops(x))


def check_dropout(module: Module) -> None:
    x = rng().standard_normal((40, 50))
    check_backward(lambda x: module.dropout(x, p=0.3, rng=rng()), module.dropout_backward, [x])
    y, _ = module.dropout(x, p=0.3, rng=rng())
    np.testing.assert_allclose(y[y != 0], (x / 0.7)[y != 0], rtol=1e-6)
    assert abs(np.mean(y == 0) - 0.3) < 0.05


def check_windows(module: Module) -> None:
    x, windows = rng().standard_normal((2, 3, 7, 6)), rng().standard_normal((2, 6, 3, 2, 4))
    options = {"kernel": (3, 2), "stride": (2, 1)}
    extracted = module.extract_windows(x, out=(2, 4), **options)
    assert_close(extracted, nn_loops.extract_windows(x, out=(2, 4), **options))
    scattered = module.scatter_windows(windows, x.shape, **options)
    assert_close(scattered, nn_loops.scatter_windows(windows, x.shape, **options))
    inside = x[..., 1:-1, 2:-2]
    padded = np.pad(inside, [(0, 0), (0, 0), (1, 1), (2, 2)])
    extracted = module.extract_windows(inside, out=(2, 4), padding=(1, 2), **options)
    assert_close(extracted, nn_loops.extract_windows(padded, out=(2, 4), **options))
    cropped = module.scatter_windows(windows, inside.shape, padding=(1, 2), **options)
    assert_close(cropped, scattered[..., 1:-1, 2:-2])


def check_sgd(module: Module) -> None:
    w, first, second = rng().standard_normal((3, 4))
    optimiser = module.SGD(rate=0.1, momentum=0.9, decay=0.2, max_norm=0.5, multipliers={"w": (2.0, 0.5)})
    moved = optimiser.step({"w": w}, {"w": first})
    moved = optimiser.step(moved, {"w": second}, rate=0.05)
    velocity = np.zeros(4)
    for rate, g in ((0.1, first), (0.05, second)):
        g = g * min(1.0, 0.5 / np.linalg.norm(g))
        velocity = 0.9 * velocity + rate * 2.0 * (g + 0.2 * 0.5 * w)
        w = w - velocity
    assert_close(moved["w"], w)


def check_layer(layer: Module, sequential: Module = nn) -> None:
    first = layer.Conv2d(rng().standard_normal((3, 2, 3, 3)), rng().standard_normal(3))
    last = layer.Conv2d(rng().standard_normal((2, 3, 3, 3)), rng().standard_normal(2), padding=1)
    layers = {"a": first, "r": layer.ReLU(), "b": last, "s": layer.Softmax()}
    for frozen in ((), ("a",), ("b",)):
        net = sequential.Sequential(layers, frozen=frozen)
        names = list(net.trainable)

        def forward(*parameters: np.ndarray, net: Any = net, names: Any = names) -> Any:
            net.assign(dict(zip(names, parameters, strict=True)))
            return net.forward(spaced_values(rng(), (2, 2, 6, 6)))

        def backward(gradient: np.ndarray, context: Any, net: Any = net, names: Any = names) -> Any:
            _, gradients = net.backward(gradient, context)
            assert gradients.keys() == set(names)
            return tuple(gradients[name] for name in names)

        check_backward(forward, backward, [net.parameters[name] for name in names])


def _loss_batch() -> list[np.ndarray]:
    """Soft truth with an absent class, and weights of which some are 0."""
    random = rng()
    target = random.dirichlet([1.0, 0.5, 2.0], (2, 3, 2)).transpose(0, 3, 1, 2)
    target = np.concatenate([target, np.zeros((2, 1, 3, 2))], axis=1)  # (2, 4, 3, 2)
    return [random.standard_normal(target.shape), target, random.choice([0.0, 0.3, 1.0], (2, 3, 2))]


def _by_definition(name: str, z: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    """The mean over the three classes that are there."""
    q, v = nn_loops.softmax(z), weight[:, None]
    if name == "soft_cross_entropy":
        return float(-np.sum(v * target * np.log(q)) / weight.sum())
    both, either = (np.sum(a, axis=(0, 2, 3))[:3] for a in (v * q * target, v * (q + target - q * target)))
    terms = {"iou": both / either, "uoi": either / both, "soft_dice": 1 - 2 * both / (both + either)}
    return float(np.mean(terms[name]))


def check_loss(name: str, module: Module) -> None:
    z, target, weight = _loss_batch()
    loss = getattr(module, name)
    check_backward(lambda z: loss(z, target, weight), lambda g, grad_z: g * grad_z, [z])
    assert float(loss(z, target, weight)[0]) == pytest.approx(_by_definition(name, z, target, weight), rel=1e-12)


def check_overlap(module: Module) -> None:
    for name in ("iou", "uoi", "soft_dice"):
        check_loss(name, module)


def check_lovasz(module: Module) -> None:
    z, target, weight = _loss_batch()
    check_backward(lambda z: module.lovasz_softmax(z, target, weight), lambda g, grad_z: g * grad_z, [z])


def check_expected(module: Module) -> None:
    q, target, weight = _loss_batch()
    q = nn_loops.softmax(q)
    v = weight[:, None]
    sums = (np.sum(a, axis=(0, 2, 3)) for a in (v * q * target, v * (q + target), v * target))
    for found, expected in zip(module.expected_counts(q, target, weight), (*sums, weight.sum()), strict=True):
        assert_close(found, np.asarray(expected))
    for smallest in (1e-12, 10.0):
        forward = partial(module.reciprocal, smallest=smallest)
        check_backward(forward, lambda g, slope: g * slope, [[0.5, 1.5, 3.0]])
        assert float(forward(np.asarray(20.0))[0]) == pytest.approx(0.05)
        assert float(forward(np.asarray(smallest / 2))[0]) == pytest.approx(1.5 / smallest)
    shares = module.class_factors(np.array([0.0, 0.5, 0.4, 9.0]), min_mass=0.5, reduction="mean")
    np.testing.assert_array_equal(shares, [0.0, 0.5, 0.0, 0.5])


def check_counts(module: Module) -> None:
    from tinysegrank.losses import iou, soft_cross_entropy, uoi

    z, target, weight = _loss_batch()
    halves = [(z[i : i + 1], target[i : i + 1], weight[i : i + 1]) for i in (0, 1)]
    counts = module.CorpusCounts(4).update(*halves[0]).merge(module.CorpusCounts(4).update(*halves[1]))
    for loss in (iou, uoi, soft_cross_entropy):
        value, grad_z = loss(z, target, weight)
        parts = [loss(*half, counts=counts) for half in halves]
        assert_close(parts[0][0], value)
        assert_close(np.concatenate([rows for _, rows in parts]), grad_z)


def check_weighted(module: Module) -> None:
    from tinysegrank.losses import iou, uoi

    z, target, weight = _loss_batch()
    loss = module.weighted([(0.7, uoi), (-2.0, iou)])
    check_backward(lambda z: loss(z, target, weight), lambda g, grad_z: g * grad_z, [z])
    expected = 0.7 * _by_definition("uoi", z, target, weight) - 2 * _by_definition("iou", z, target, weight)
    assert float(loss(z, target, weight)[0]) == pytest.approx(expected, rel=1e-12)


CHECKS: dict[str, Callable[[Module], None]] = {
    "nn.conv": check_conv,
    "nn.arguments": check_arguments,
    "nn.pool": check_pool,
    "nn.lrn": check_lrn,
    "nn.relu": check_relu,
    "nn.softmax": check_softmax,
    "nn.dropout": check_dropout,
    "nn.windows": check_windows,
    "nn.sgd": check_sgd,
    "nn.layer": check_layer,
    "nn.sequential": partial(check_layer, nn),
    "losses.cross_entropy": partial(check_loss, "soft_cross_entropy"),
    "losses.overlap": check_overlap,
    "losses.lovasz": check_lovasz,
    "losses.expected": check_expected,
    "losses.counts": check_counts,
    "losses.table": check_weighted,
}


def module_of(name: str, old: str = "", new: str = "") -> Module:
    """The module with a text replaced, executed on its own; the library stays as it is."""
    original = importlib.import_module(f"tinysegrank.{name}")
    tree = ast.parse(Path(str(original.__file__)).read_text(encoding="utf-8"))
    for node in ast.walk(tree):  # only the code counts: no comments, docstrings or line breaks
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Expr(ast.Constant(""))
    source = ast.unparse(tree)
    if old:
        assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in {name}"
        source = source.replace(old, new)
    mutant = types.ModuleType(original.__name__)
    exec(compile(source, f"{name} with {new!r}", "exec"), vars(mutant))
    return mutant


@pytest.mark.parametrize("name", CHECKS)
def test_the_module_as_it_is_passes(name: str) -> None:
    CHECKS[name](module_of(name))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [pytest.param(name, *texts, id=f"{name}: {texts[1].strip()}") for name in MUTANTS for texts in MUTANTS[name]],
)
def test_the_mutant_is_caught(name: str, old: str, new: str, record_property: Callable[[str, object], None]) -> None:
    record_property("mutant", f"{name}: {new}")
    mutant = module_of(name, old, new)
    with pytest.raises(AssertionError):
        CHECKS[name](mutant)
