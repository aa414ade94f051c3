"""Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from array_api_compat import array_namespace

from tinysegrank.backend import Array
from tinysegrank.errors import ConfigError
from tinysegrank.nn.arguments import check_gradients, plain


class AdamW:
    """Optimiser that divides the running mean of each entry's gradient g by the root of the running mean of g^2.

    At a parameter's step t = 1, 2, ..., with m = v = 0 before the first:

        m = b1 m + (1 - b1) g                          running mean
        v = b2 v + (1 - b2) g^2                        running mean of squares
        w = w - rate decay w                           decoupled weight decay
              - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    Args:
        rate: learning rate, at least 0; the `rate` of a step, if given, overrides it.
        betas: b1 and b2, each in [0, 1).
        eps: added to the root of v, above 0.
        decay: weight decay, at least 0.
        undecayed: names of parameters that don't decay, such as biases.

    Raises:
        ConfigError: an option is out of range.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1; Loshchilov and Hutter,
    "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
    """

    def __init__(
        self,
        *,
        rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        decay: float = 0.0,
        undecayed: Collection[str] = (),
    ) -> None:
        if not (rate >= 0 and all(0 <= beta < 1 for beta in betas) and eps > 0 and decay >= 0):
            raise ConfigError(
                f"AdamW: rate={rate} and decay={decay} must be at least 0, betas={betas} in [0, 1), eps={eps} above 0"
            )
        self.rate, self.betas, self.eps, self.decay, self.undecayed = rate, betas, eps, decay, frozenset(undecayed)
        self.steps: dict[str, int] = {}
        self.mean: dict[str, Array] = {}
        self.square: dict[str, Array] = {}

    def step(
        self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], *, rate: float | None = None
    ) -> dict[str, Array]:
        """Update m, v and t, and return new values of the parameters that have a gradient, by name.

        Raises:
            ShapeError: a gradient is not floating, or no parameter has its name and shape.
        """
        check_gradients("AdamW", parameters, gradients)
        rate, eps = plain(self.rate if rate is None else rate), plain(self.eps)
        first, second = map(plain, self.betas)
        updated = {}
        for name, gradient in gradients.items():
            xp, w = array_namespace(gradient), parameters[name]
            t = self.steps[name] = self.steps.get(name, 0) + 1
            mean, square = (1 - first) * gradient, (1 - second) * gradient**2
            if t > 1:
                mean, square = first * self.mean[name] + mean, second * self.square[name] + square
            self.mean[name], self.square[name] = mean, square
            root = xp.sqrt(square * (1 / (1 - second**t))) + eps
            decay = 0.0 if name in self.undecayed else plain(self.decay)
            updated[name] = (1 - rate * decay) * w - (rate / (1 - first**t)) * mean / root
        return updated
