"""Stochastic gradient descent with momentum and weight decay, as in Caffe's SGDSolver."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from array_api_compat import array_namespace, device

from tinysegrank.backend import Array, to_numpy
from tinysegrank.errors import CheckpointError, ConfigError
from tinysegrank.nn.arguments import check_gradients, plain, widened
from tinysegrank.nn.cuda import sgd as cuda
from tinysegrank.nn.cuda import uses_cuda


class SGD:
    """Momentum SGD: v = momentum * v + rate * (gradient + decay * w), then w = w - v, for each parameter w.

    A velocity v is 0 before the parameter's first step.

    Args:
        rate: learning rate, at least 0; the `rate` of a step, if given, overrides it.
        momentum: in [0, 1).
        decay: weight decay, at least 0.
        max_norm: limit of the joint Euclidean norm of a step's gradients, which are scaled down to it; above 0 or None.
        multipliers: parameter name to (factor of the rate, factor of the decay); usual for a bias in Caffe is (2, 0).

    Raises:
        ConfigError: an option is out of range.
    """

    def __init__(
        self,
        *,
        rate: float,
        momentum: float = 0.9,
        decay: float = 0.0,
        max_norm: float | None = None,
        multipliers: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        if not (rate >= 0 and 0 <= momentum < 1 and decay >= 0 and (max_norm is None or max_norm > 0)):
            raise ConfigError(
                f"SGD: rate={rate} and decay={decay} must be at least 0, momentum={momentum} in [0, 1), "
                f"max_norm={max_norm} positive or None"
            )
        self.rate, self.momentum, self.decay, self.max_norm = rate, momentum, decay, max_norm
        self.multipliers = dict(multipliers or {})
        self.velocity: dict[str, Array] = {}

    def step(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], *, rate: float | None = None
    ) -> dict[str, Array]:
        """Update the velocities, and return new values of the parameters that have a gradient, by name.

        Raises:
            ShapeError: a gradient is not floating, or no parameter has its name and shape.
        """
        rate = self.rate if rate is None else rate
        check_gradients("SGD", parameters, gradients)
        step: Callable[..., tuple[Array, Array]] = _step
        if gradients and uses_cuda(*gradients.values(), *(parameters[name] for name in gradients)):
            step = partial(cuda.step, scale=cuda.clip_scale(gradients.values(), self.max_norm))
        elif self.max_norm is not None:
            gradients, _ = clip_by_norm(gradients, self.max_norm)
        updated = {}
        for name, gradient in gradients.items():
            w = parameters[name]
            rate_factor, decay_factor = self.multipliers.get(name, (1.0, 1.0))
            options = map(plain, (rate * rate_factor, self.momentum, self.decay * decay_factor))
            velocity = self.velocity.get(name)
            self.velocity[name], updated[name] = step(w, gradient, velocity, *options)
        return updated

    def state(self) -> dict[str, np.ndarray]:
        """Return the velocities by parameter name, on the host, for a checkpoint."""
        return {name: to_numpy(array) for name, array in self.velocity.items()}

    def restore(self, state: Mapping[str, np.ndarray], parameters: Mapping[str, Array]) -> None:
        """Replace all velocities by those that `SGD.state` returned, copied to the device of the parameters.

        Raises:
            CheckpointError: no parameter has the name and shape of a velocity.
        """
        for name, array in state.items():
            if name not in parameters or tuple(parameters[name].shape) != array.shape:
                raise CheckpointError(
                    f"velocity {name} of shape {array.shape} fits no parameter; give the network that it is from"
                )
        self.velocity = {
            name: array_namespace(parameters[name]).asarray(np.array(array), device=device(parameters[name]))
            for name, array in state.items()  # a copy, as torch refuses read-only arrays
        }


def _step(
    w: Array, gradient: Array, velocity: Array | None, rate: float, momentum: float, decay: float
) -> tuple[Array, Array]:
    """Return the new velocity and the new value of a parameter w; a velocity of None is 0."""
    change = rate * (gradient + decay * w)
    velocity = change if velocity is None else momentum * velocity + change
    return velocity, w - velocity


def clip_by_norm(gradients: Mapping[str, Array], max_norm: float) -> tuple[dict[str, Array], Array]:
    """Scale all gradients by one factor, at most 1, so that their joint Euclidean norm is at most `max_norm`.

    Return the scaled gradients, and the norm before scaling as a 0-d array on the device, so that the host needn't
    wait for it; NumPy's 0 if there are no gradients.
    """
    if not gradients:
        return {}, np.zeros(())
    xp = array_namespace(*gradients.values())
    norm = xp.sqrt(sum(xp.sum(widened(g) ** 2) for g in gradients.values()))  # squares of float16 soon overflow
    one = xp.ones_like(norm)
    scale = xp.minimum(max_norm / xp.where(norm > 0, norm, one), one) if math.isfinite(max_norm) else one
    return {name: g * xp.astype(scale, g.dtype, copy=False) for name, g in gradients.items()}, norm


def step_schedule(rate: float, step: int, *, drops: Sequence[int], factor: float = 0.1) -> float:
    """Return the learning rate at a step: `rate`, times `factor` for each of `drops` reached (Caffe's multistep)."""
    return rate * factor ** sum(step >= drop for drop in drops)


def cosine_schedule(rate: float, step: int, steps: int) -> float:
    """Return the learning rate at a step: it falls along half a cosine, from `rate` at step 0 to 0 at step `steps`.

    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, without restarts.
    """
    return rate * (1 + math.cos(math.pi * step / steps)) / 2
