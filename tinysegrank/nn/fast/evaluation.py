"""Layers one after the other with nothing kept, the twin of `nn.evaluate`.

A convolution with the ReLU, pooling and normalisation after it is one piece of work, done for a few images at a time:
what the convolution makes of them is pooled while it is in the cache, and never leaves it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.conv import check_conv2d
from tinysegrank.nn.evaluate import Filters
from tinysegrank.nn.fast import TileContext, takes_tiles, takes_twin
from tinysegrank.nn.fast.convolution import UNBOUNDED, geometry_of
from tinysegrank.nn.fast.fold import fold, fold_filters
from tinysegrank.nn.fast.geometry import chunks
from tinysegrank.nn.fast.normalisation import norm_stage
from tinysegrank.nn.fast.pooling import pool_stage
from tinysegrank.nn.fast.stages import cut, empty_values, filter_values, join, product
from tinysegrank.nn.fast.threads import Stage, run_stages
from tinysegrank.nn.layer import Conv2d, Generator, Layer, LocalResponseNorm, MaxPool2d, ReLU
from tinysegrank.nn.pool import check_max_pool2d
from tinysegrank.nn.windows import Pair, pair


def evaluate(layers: Sequence[Layer], x: Array, *, rng: Generator, filters: Filters) -> Array:
    """Do as `nn.evaluate`, to 1e-4 of the largest output of exact arithmetic.

    Args:
        filters: transformed filters, by the layer's place and the number of points; those that are missing are added.
    """
    place = 0
    while place < len(layers):
        first, end = layers[place], place + 1
        if type(first) is Conv2d and takes_twin(x, *first.parameters.values()) and _takes_tiles(first):
            end = _end_of_piece(layers, end)
            x = _run_piece(first, layers[place + 1 : end], x, filters, place)
        else:
            x, _ = first.forward(x, rng=rng)
        place = end
    return x


def _end_of_piece(layers: Sequence[Layer], end: int) -> int:
    """Past a ReLU, and all poolings and normalisations."""
    if end < len(layers) and type(layers[end]) is ReLU:
        end += 1
    while end < len(layers) and type(layers[end]) in (MaxPool2d, LocalResponseNorm):
        end += 1
    return end


def _takes_tiles(convolution: Conv2d) -> bool:
    stride = pair(convolution.stride, name="stride", least=1)
    return takes_tiles(convolution.parameters["weight"], stride)


def _run_piece(first: Conv2d, followers: Sequence[Layer], x: np.ndarray, filters: Filters, place: int) -> np.ndarray:
    """A convolution and what follows it; (N, F, H, W) with channels last in memory."""
    weight, bias, groups = first.parameters["weight"], first.parameters["bias"], first.groups
    stride, padding, out = check_conv2d(x, weight, bias, first.stride, first.padding, groups)
    maps = fold(x, weight.shape[2], stride[0], padding, out)  # (N, h, w, c)
    how = geometry_of(TileContext(maps, weight, x.shape, out, stride[0], padding, groups))
    stages: list[Stage] = []
    key = (place, len(how.taps))
    if key not in filters:
        filters[key], stage = filter_values(fold_filters(weight, stride[0]), how.taps, groups, filters_first=False)
        stages.append(stage)

    relu = any(type(layer) is ReLU for layer in followers)
    outputs = _outputs((len(x), *out, len(weight)), how.chunk, followers)
    values, products = empty_values(how, groups, maps.shape[3]), empty_values(how, groups, len(weight))
    for part in chunks(len(x), how.chunk):
        pieces = [array[: part.stop - part.start] for array in outputs[:-1]] + [outputs[-1][part]]
        y = pieces.pop(0)
        stages.append(cut(maps[part], how.inputs, values))
        stages.append(product(values, filters[key], products, len(y) * how.tiles))
        stages.append(join(products, how.outputs, bias, np.float32(0) if relu else UNBOUNDED, y))
        for layer in followers:
            if type(layer) is MaxPool2d:
                size, step, _ = _pooled(y.shape, layer)
                stages.append(pool_stage(y, size, step, pieces[0]))
                y = pieces.pop(0)
            elif type(layer) is LocalResponseNorm:
                stages.append(norm_stage(y, **layer.options))
    run_stages(stages)
    return outputs[-1].transpose(0, 3, 1, 2)


def _outputs(shape: tuple[int, int, int, int], chunk: int, followers: Sequence[Layer]) -> list[np.ndarray]:
    """Room for the convolution's output and for each pooling's: for one chunk, but for the last, which is for all."""
    N, H, W, F = shape
    sizes = [(H, W)]
    for layer in followers:
        if type(layer) is MaxPool2d:
            sizes.append(_pooled((N, *sizes[-1], F), layer)[2])
    rooms = [min(N, chunk)] * (len(sizes) - 1) + [N]
    return [np.empty((room, *size, F), np.float32) for room, size in zip(rooms, sizes, strict=True)]


def _pooled(shape: tuple[int, ...], layer: MaxPool2d) -> tuple[Pair, Pair, Pair]:
    """Size and stride of a pooling, and the size of what it makes of maps (N, H, W, C)."""
    N, H, W, C = shape
    return check_max_pool2d((N, C, H, W), **layer.options)
