"""CUDA version of `evaluate`: columns of convolutions fit the cache, and ReLU is applied as the bias is added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import check_conv2d
from tinysegrank.nn.cuda import uses_cuda
from tinysegrank.nn.cuda.conv import CACHED, conv2d
from tinysegrank.nn.fast import Step


def evaluate(steps: Sequence[Step], x: Array, *, rng: np.random.Generator | None) -> Array:
    """CUDA version of `nn.evaluate`: run the described layers on x, and return the output of the last.

    x | (N, ...) | float32 | input of the first layer
    """
    kinds = [step.kind for step in steps] + ["the end"]
    fused = False
    for step, following in zip(steps, kinds[1:], strict=True):
        if fused:  # a ReLU that has been applied
            fused = False
            continue
        convolution = step.kind == "convolution" and uses_cuda(x, *step.parameters.values())
        fused = convolution and following == "relu"
        if convolution:
            x = _convolution(x, **step.parameters, **step.options, relu=fused)
        else:
            x, _ = step.forward(x, rng=rng)
    return x


def _convolution(x: Array, weight: Array, bias: Array, groups: int, relu: bool, **sizes: Any) -> Array:
    stride, padding, out = check_conv2d(x, weight, bias, groups=groups, **sizes)
    options: Any = {"stride": stride, "padding": padding, "groups": groups, "out": out, "relu": relu}
    return conv2d(x, weight, bias, **options, part_bytes=CACHED)[0]
