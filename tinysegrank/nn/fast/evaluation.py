"""Numba version of `nn.evaluate`: run layers in order without keeping activations.

A convolution is fused with a ReLU, a pooling and a normalisation that follow it. The batch is split into parts of a
few images, and a thread takes a part through all consecutive convolutions: threads need not wait for each other, and
the output of one is still in the cache when the next one reads it. If the batch is too small to give each thread a
part, all threads share the jobs of each step.

A lesson: sharing the jobs of each step was expected to be as fast for large batches too, since the threads then share
the filters in the cache. But of 565 ms for 64 images on two threads, 180 ms were spent waiting. Parts of 4 images take
350 ms, as the filters of conv3 to conv5 are loaded from memory for every 36 tiles, and parts of 8 images 310 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinysegrank.backend import Array
from tinysegrank.nn.arguments import check_conv2d, check_max_pool2d, check_norm_size, pair
from tinysegrank.nn.fast import Kept, Step, takes_tiles, uses_numba
from tinysegrank.nn.fast.filters import filter_values
from tinysegrank.nn.fast.fold import fold, fold_filters
from tinysegrank.nn.fast.normalisation import Norm
from tinysegrank.nn.fast.pieces import Fused, Program
from tinysegrank.nn.fast.threads import share

PART = 8  # images per part; a batch of fewer than two parts is not split


def evaluate(layers: Sequence[Step], x: Array, *, rng: np.random.Generator | None, kept: Kept) -> Array:
    """Numba version of `nn.evaluate`; errors are at most 1e-4 of the largest exact output.

    Args:
        layers: descriptions of the layers, in order.
        x: (N, ...), input of the first layer.
        rng: for dropout; None skips it.
        kept: cache, which this call reads and extends.
    """
    place = 0
    while place < len(layers):
        convolutions, end = _fuse(layers, place, x, rng)
        if convolutions:
            x = _run(convolutions, x, kept)
        else:
            x, _ = layers[place].forward(x, rng=rng)
        place = max(end, place + 1)
    return x


def _fuse(
    layers: Sequence[Step], place: int, x: Array, rng: np.random.Generator | None
) -> tuple[dict[int, Fused], int]:
    """Return the consecutive convolutions from layer `place` on, by place, and the index of the layer after."""
    found: dict[int, Fused] = {}
    shape = x.shape
    while uses_numba(x) and place < len(layers):
        layer = layers[place]
        if layer.kind == "dropout" and rng is None:
            place += 1
        elif layer.kind == "convolution" and uses_numba(*layer.parameters.values()) and _takes_tiles(layer):
            if found and layer.options["stride"] not in (1, (1, 1)):  # only the first input is folded
                break
            found[place], end = _fuse_one(layers, place, shape)
            H, W, F = found[place].made
            shape, place = (shape[0], F, H, W), end
        else:
            break
    return found, place


def _fuse_one(layers: Sequence[Step], place: int, shape: tuple[int, ...]) -> tuple[Fused, int]:
    """Fuse the convolution at index `place` with the layers that follow it; return it and the index of the next layer.

    `shape` is that of its input.
    """
    weight, bias = (layers[place].parameters[name] for name in ("weight", "bias"))
    options = layers[place].options
    stride, padding, out = check_conv2d(np.empty((0, *shape[1:]), np.float32), weight, bias, **options)
    fused = Fused(weight, bias, stride[0], padding, options["groups"], out)
    changes: dict[str, Any] = {}
    for layer in layers[place + 1 :]:
        place += 1
        if layer.kind == "relu" and not changes:
            changes["least"] = np.float32(0)
        elif layer.kind == "normalisation" and "norm" not in changes:
            check_norm_size(layer.options["size"])
            norm = Norm(layer.options["size"], *(float(layer.options[name]) for name in ("alpha", "beta", "k")))
            changes |= {"norm": norm, "norm_first": "pool" not in changes}
        elif layer.kind == "pooling" and "pool" not in changes:
            changes["pool"] = check_max_pool2d((shape[0], len(weight), *out), **layer.options)
        else:
            return fused._replace(**changes), place
    return fused._replace(**changes), place + 1


def _takes_tiles(convolution: Step) -> bool:
    stride = pair(convolution.options["stride"], name="stride", least=1)
    return takes_tiles(convolution.parameters["weight"], stride)


def _run(convolutions: dict[int, Fused], x: np.ndarray, kept: Kept) -> np.ndarray:
    """Run consecutive convolutions on x; return (N, F, OH, OW), with channels last in memory."""
    place, first, last = min(convolutions), convolutions[min(convolutions)], convolutions[max(convolutions)]
    N, count = len(x), max(1, len(x) // PART)
    parts = [slice(N * part // count, N * (part + 1) // count) for part in range(count)]
    before, sizes = kept.programs.get(place, {}), {part.stop - part.start for part in parts}
    programs = {(n, *x.shape[1:]): before.get((n, *x.shape[1:]), []) for n in sizes}  # those of other sizes are dropped
    kept.programs[place] = programs
    for (n, *_), free in programs.items():
        if not free:
            free.append(_program(convolutions, n, kept))
    y = np.empty((N, *last.made), np.float32)  # (N, OH, OW, F)

    def run_parts(start: int, stop: int) -> None:
        for part in parts[start:stop]:
            n = part.stop - part.start
            free = programs[n, *x.shape[1:]]
            try:
                program = free.pop()
            except IndexError:  # all are in use
                program = _program(convolutions, n, kept)
            maps = fold(x[part], first.weight.shape[2], first.stride, first.padding, first.out)  # (n, h, w, c)
            program.run(maps, y[part], alone=count > 1)
            free.append(program)

    if count > 1:
        share(run_parts, count, y.size * count)
    else:
        run_parts(0, 1)
    return y.transpose(0, 3, 1, 2)


def _program(convolutions: dict[int, Fused], images: int, kept: Kept) -> Program:
    """Return a program for parts of `images` images; `kept` caches the transformed filters."""
    filters = []
    for place, each in convolutions.items():
        key = place, each.geometry(images).kind
        if key not in kept.filters:
            folded = fold_filters(each.weight, each.stride)
            kept.filters[key] = filter_values(folded, key[1], each.groups, filters_first=False)
        filters.append(kept.filters[key])
    return Program(list(convolutions.values()), images, filters)
