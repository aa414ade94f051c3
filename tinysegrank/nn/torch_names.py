"""Equivalents of torch's names, for the message of the AttributeError that such a name raises here."""

from __future__ import annotations

from typing import Any

from tinysegrank.backend import Array

IN_NN = {
    "AdaptiveAvgPool2d": "there is none; average over the last two axes with the array library's mean",
    "BatchNorm2d": "there is none; AlexNet has LocalResponseNorm",
    "CrossEntropyLoss": "losses.soft_cross_entropy(z, target) returns the value and the gradient",
    "Linear": "a 1 x 1 convolution does the same: Conv2d.initialised(channels, filters, 1, rng=rng)",
    "Module": "a layer is any class with parameters, forward and backward, see nn.Layer",
    "functional": "functions are in nn itself, such as nn.relu(x), which returns the result and a context",
    "init": "Conv2d.initialised(channels, filters, size, rng=rng) draws He's initial weights",
    "optim": "the optimisers are nn.SGD and nn.AdamW",
}
_OF_A_LAYER = {
    "cuda": "set TINYSEGRANK_BACKEND=cupy, or give arrays of the device",
    "eval": "net(x) evaluates, without dropout",
    "load_state_dict": "assign({name: array}) replaces parameters",
    "named_parameters": "parameters is a dict of arrays by name",
    "requires_grad_": "Sequential(..., frozen=[names]) trains the others",
    "state_dict": "parameters is a dict of arrays by name",
    "to": "set TINYSEGRANK_BACKEND, or give arrays of the device",
    "train": "net.forward(x, rng=rng) trains, with dropout; net(x) evaluates",
    "zero_grad": "gradients are returned by backward and kept nowhere",
}


class Described:
    """Base class of layers and networks: calling one evaluates it, and a torch name raises an error that helps."""

    def __call__(self, x: Array) -> Array:
        """Return the output for x, without dropout."""
        return self.forward(x)[0]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no {name!r}{hint(name, _OF_A_LAYER)}")


def hint(name: str, names: dict[str, str]) -> str:
    """Return a semicolon and the advice that `names` has for a torch name, or "" if it has none."""
    return f"; {names[name]}" if name in names else ""
