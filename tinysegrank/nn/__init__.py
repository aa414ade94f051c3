"""The layer library: one operation per file, with its backward pass directly under its forward pass.

Forward functions return (result, context). Backward functions take (gradient, context) and return the gradients with
respect to the forward function's array arguments: a bare array for one argument, a tuple in their order for several.
Each function is written once, for arrays of any backend; float32 arrays of NumPy and CuPy have faster versions in
`nn.fast` and `nn.cuda`.

Arrays are float16 (or bfloat16, in the same way), float32 or float64, and may be complex where a function is analytic,
for the complex step of `testing.check_backward`. Other dtypes are a ShapeError. Operations that sum (convolution,
normalisation, softmax) compute float16 in float32 and round once; the others compute in float16.
"""

from __future__ import annotations

from tinysegrank.nn.adam import AdamW
from tinysegrank.nn.arguments import ConvContext, NormContext, PoolContext, SoftmaxContext
from tinysegrank.nn.conv import conv2d, conv2d_backward
from tinysegrank.nn.dropout import dropout, dropout_backward
from tinysegrank.nn.evaluate import evaluate
from tinysegrank.nn.layer import Conv2d, Dropout, Layer, LocalResponseNorm, MaxPool2d, ReLU, Softmax
from tinysegrank.nn.lrn import local_response_norm, local_response_norm_backward
from tinysegrank.nn.pool import max_pool2d, max_pool2d_backward
from tinysegrank.nn.relu import relu, relu_backward
from tinysegrank.nn.sequential import Prepared, Sequential
from tinysegrank.nn.sgd import SGD, clip_by_norm, cosine_schedule, step_schedule
from tinysegrank.nn.softmax import log_softmax, log_softmax_backward, softmax, softmax_backward
from tinysegrank.nn.torch_names import IN_NN, hint
from tinysegrank.nn.windows import extract_windows, scatter_windows

__all__ = [
    "SGD",
    "AdamW",
    "Conv2d",
    "ConvContext",
    "Dropout",
    "Layer",
    "LocalResponseNorm",
    "MaxPool2d",
    "NormContext",
    "PoolContext",
    "Prepared",
    "ReLU",
    "Sequential",
    "Softmax",
    "SoftmaxContext",
    "clip_by_norm",
    "conv2d",
    "conv2d_backward",
    "cosine_schedule",
    "dropout",
    "dropout_backward",
    "evaluate",
    "extract_windows",
    "local_response_norm",
    "local_response_norm_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
    "scatter_windows",
    "softmax",
    "softmax_backward",
    "step_schedule",
]


def __getattr__(name: str) -> None:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint(name, IN_NN)}")
