"""CUDA version of `evaluate`: a ReLU after a convolution is computed by the kernel that adds the bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import check_conv2d
from tinysegrank.nn.cuda import uses_cuda
from tinysegrank.nn.cuda.conv import conv2d
from tinysegrank.nn.fast import Step


def evaluate(steps: Sequence[Step], x: Array, *, rng: np.random.Generator | None) -> Array:
    """CUDA version of `nn.evaluate`.

    x | (N, ...) | float32 | input of the first layer
    """
    kinds = [step.kind for step in steps] + ["the end"]
    fused = False
    for step, following in zip(steps, kinds[1:], strict=True):
        if fused:  # a ReLU that has been applied
            fused = False
            continue
        fused = (step.kind, following) == ("convolution", "relu") and uses_cuda(x, *step.parameters.values())
        x = _convolution_and_relu(x, **step.parameters, **step.options) if fused else step.forward(x, rng=rng)[0]
    return x


def _convolution_and_relu(x: Array, weight: Array, bias: Array, **options: Any) -> Array:
    stride, padding, out = check_conv2d(x, weight, bias, **options)
    return conv2d(x, weight, bias, stride=stride, padding=padding, groups=options["groups"], out=out, relu=True)[0]
