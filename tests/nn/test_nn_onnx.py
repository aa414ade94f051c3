"""The ONNX standard's own test cases of the operators that the layer library has.

Every case that the layers' options can express must pass; the others are listed with the reason, and nothing else may
be left out.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinysegrank import nn

pytest.importorskip("onnx", reason="onnx is not installed; run `pip install onnx`")

OPERATORS = ("Conv", "MaxPool", "LRN", "Relu", "Softmax", "LogSoftmax", "Dropout")

NOT_APPLICABLE = {
    "test_maxpool_1d_default": "maps are two-dimensional here",
    "test_maxpool_2d_dilations": "windows have no dilation",
    "test_maxpool_2d_pads": "pooling has no padding",
    "test_maxpool_2d_precomputed_pads": "pooling has no padding",
    "test_maxpool_2d_precomputed_same_upper": "pooling has no padding",
    "test_maxpool_2d_same_lower": "pooling has no padding",
    "test_maxpool_2d_same_upper": "pooling has no padding",
    "test_maxpool_2d_uint8": "pooling has no padding",
    "test_maxpool_3d_default": "maps are two-dimensional here",
    "test_maxpool_3d_dilations": "windows have no dilation",
    "test_maxpool_3d_dilations_use_ref_impl": "windows have no dilation",
    "test_maxpool_3d_dilations_use_ref_impl_large": "windows have no dilation",
    "test_maxpool_with_argmax_2d_precomputed_pads": "pooling has no padding",
}


class NotApplicableError(Exception):
    """The layers here have no such option."""


class Given:
    """A generator that returns the standard's own draws, NumPy's legacy uniform numbers of a seed."""

    def __init__(self, seed: int) -> None:
        self.state = np.random.RandomState(seed)

    def random(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        return self.state.uniform(0, 1, shape)


def _spatial(options: dict[str, Any], x: np.ndarray, kernel: tuple[int, ...]) -> tuple[Any, Any]:
    """Stride and symmetric padding (height, width), with automatic padding resolved as the standard says."""
    if any(d != 1 for d in options.get("dilations", [])):
        raise NotApplicableError("windows have no dilation")
    if x.ndim != 4:
        raise NotApplicableError("maps are two-dimensional here")
    stride = tuple(options.get("strides", (1, 1)))
    begin, end = np.reshape(options.get("pads", (0, 0, 0, 0)), (2, 2)).tolist()
    if (automatic := options.get("auto_pad", b"NOTSET")) != b"NOTSET":
        total = [max(0, (-(-n // s) - 1) * s + k - n) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        begin, end = (less, more) if automatic == b"SAME_UPPER" else (more, less)
    if begin != end:
        raise NotApplicableError("padding differs at the two ends of an axis")
    return stride, tuple(begin)


def _conv(options: dict[str, Any], x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> list[Any]:
    stride, padding = _spatial(options, x, weight.shape[2:])
    bias = np.zeros(weight.shape[0], x.dtype) if bias is None else bias
    return [nn.conv2d(x, weight, bias, stride=stride, padding=padding, groups=options.get("group", 1))[0]]


def _max_pool(options: dict[str, Any], x: np.ndarray) -> list[Any]:
    """Where windows do not overlap, the backward pass says where the maxima are: the operator's second output."""
    size = tuple(options["kernel_shape"])
    if "auto_pad" in options or any(options.get("pads", [])):
        raise NotApplicableError("pooling has no padding")
    stride, _ = _spatial(options, x, size)
    y, context = nn.max_pool2d(x, size=size, stride=stride, ceil_mode=bool(options.get("ceil_mode", 0)))
    if any(s < k for s, k in zip(stride, size, strict=True)):
        return [y]
    numbered = nn.max_pool2d_backward(1.0 + np.arange(y.size).reshape(y.shape), context)
    numbered = (numbered.swapaxes(2, 3) if options.get("storage_order") else numbered).ravel()
    places = np.flatnonzero(numbered)
    return [y, places[np.argsort(numbered[places])].reshape(y.shape)]


def _local_response_norm(options: dict[str, Any], x: np.ndarray) -> list[Any]:
    alpha, beta, k = (options.get(name, default) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return [nn.local_response_norm(x, size=options["size"], alpha=alpha, beta=beta, k=k)[0]]


def _dropout(options: dict[str, Any], x: np.ndarray, ratio: Any = 0.5, training: Any = False) -> list[Any]:
    rng: Any = Given(options.get("seed", 0)) if training else None
    y, scale = nn.dropout(x, p=float(ratio), rng=rng)
    return [y, np.ones(x.shape, bool) if scale is None else scale != 0]


RUN: dict[str, Callable[..., list[Any]]] = {
    "Conv": _conv,
    "MaxPool": _max_pool,
    "LRN": _local_response_norm,
    "Relu": lambda _, x: [nn.relu(x)[0]],
    "Softmax": lambda options, x: [nn.softmax(x, axis=options.get("axis", -1))[0]],
    "LogSoftmax": lambda options, x: [nn.log_softmax(x, axis=options.get("axis", -1))[0]],
    "Dropout": _dropout,
}


@pytest.fixture(scope="module")
def cases() -> dict[str, list[Any]]:
    """The standard's cases of one node of our operators, by operator."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # of the package's own
        node = importlib.import_module("onnx.backend.test.case.node")
        files = [f"{node.__name__}.{operator.lower()}" for operator in OPERATORS]
        # it would read the files of all operators, which takes seconds
        patch.setattr(node, "import_recursive", lambda _: [importlib.import_module(file) for file in files])
        collected = node.collect_testcases()
    single = [case for case in collected if len(case.model.graph.node) == 1]
    return {op: [case for case in single if case.model.graph.node[0].op_type == op] for op in OPERATORS}


def run(case: Any) -> None:
    """Run the case through the layers and compare its outputs; NotApplicableError where no option expresses it."""
    from onnx.helper import get_attribute_value

    node = case.model.graph.node[0]
    options = {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}
    for inputs, outputs in case.data_sets:
        found = RUN[node.op_type](options, *inputs)
        assert len(found) >= len(outputs)
        for array, expected in zip(found, outputs, strict=False):
            assert array.dtype == expected.dtype
            assert array.shape == expected.shape
            np.testing.assert_allclose(array, expected, rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_standards_cases_pass_or_are_listed(
    operator: str, cases: dict[str, list[Any]], record_property: Callable[[str, object], None]
) -> None:
    assert cases[operator], "the standard has no such cases any more"
    left_out = {}
    for case in cases[operator]:
        try:
            run(case)
        except NotApplicableError as reason:
            left_out[case.name] = str(reason)
    record_property("onnx", (len(cases[operator]) - len(left_out), len(left_out)))
    mine = {case.name for case in cases[operator]}
    assert left_out == {name: reason for name, reason in NOT_APPLICABLE.items() if name in mine}


def test_every_listed_case_is_in_the_standard(cases: dict[str, list[Any]]) -> None:
    assert NOT_APPLICABLE.keys() <= {case.name for group in cases.values() for case in group}
    passed = sum(len(group) for group in cases.values()) - len(NOT_APPLICABLE)
    assert passed >= 41  # so many in onnx 1.23
