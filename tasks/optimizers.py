"""The optimisers that tasks are trained with, and how their learning rates change.

Only constants and formulas: each backend has its own update, in its own ``optimizers.py``. Of every
optimiser, ``slots`` names what it remembers of each parameter, and ``operations`` counts the
floating-point operations that its formula takes for one parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: ``p <- p - learning_rate * g``."""

    learning_rate: float
    slots: ClassVar[tuple[str, ...]] = ()
    operations: ClassVar[int] = 2


@dataclass(frozen=True)
class RMSprop:
    """RMSprop with epsilon inside the root, as in Keras 3.

    ``v <- rho v + (1 - rho) g^2``;  ``p <- p - learning_rate * g / sqrt(v + epsilon)``
    (Hinton, "Neural Networks for Machine Learning", lecture 6e, 2012; the place of epsilon differs
    between frameworks and changes the loss by some 2% within ten steps).
    """

    learning_rate: float
    rho: float
    epsilon: float
    slots: ClassVar[tuple[str, ...]] = ("v",)
    operations: ClassVar[int] = 9


@dataclass(frozen=True)
class Linear:
    """A learning rate that rises linearly for ``warmup`` steps, then falls to 0 at ``total``."""

    total: int
    warmup: int = 0

    def factor(self, step: Array) -> Array:
        """The factor of the rate after ``step`` updates, any shape."""
        falling = (self.total - np.minimum(step, self.total)) / (self.total - self.warmup)
        rising = (step + 1) / self.warmup if self.warmup else 1
        return np.asarray(np.minimum(rising, falling))

    def within(self, steps: int) -> Linear:
        """The same course in ``steps`` steps, a quarter of them for a warm-up."""
        return Linear(steps, warmup=max(steps // 4, 1) if self.warmup else 0)


@dataclass(frozen=True)
class Cosine:
    """A learning rate that falls to 0 within ``total`` steps along half a cosine.

    Loshchilov & Hutter, "SGDR", 2017, equation 5, without restarts.
    """

    total: int

    def factor(self, step: Array) -> Array:
        """The factor of the rate after ``step`` updates, any shape."""
        return np.asarray((1 + np.cos(np.pi * np.minimum(step / self.total, 1))) / 2)

    def within(self, steps: int) -> Cosine:
        """The same course in ``steps`` steps."""
        return Cosine(steps)


@dataclass(frozen=True)
class Adam:
    """Adam, Kingma & Ba 2015, algorithm 1, after a clip of the gradients' global norm, if any.

    ``g <- g min(1, clip / |g|)`` with ``|g|`` over all leaves (Pascanu et al. 2013, algorithm 1);
    ``m <- beta1 m + (1 - beta1) g``;  ``v <- beta2 v + (1 - beta2) g^2``;
    ``p <- p - rate m^ / (sqrt(v^) + epsilon)``
    with ``m^ = m / (1 - beta1^t)``, ``v^ = v / (1 - beta2^t)``, t counted from 1.
    """

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    schedule: Linear | Cosine | None = None
    clip: float | None = None
    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    @property
    def operations(self) -> int:
        return 12 if self.clip is None else 15

    def rates(self, step: int, count: int) -> Array:
        """The scheduled learning rates of ``count`` updates after ``step``, (count,) float64."""
        steps = np.arange(step, step + count)
        return self.learning_rate * (
            self.schedule.factor(steps) if self.schedule else 1.0 + 0 * steps
        )

    def corrected(self, step: int, count: int) -> tuple[Array, Array]:
        """Rates and epsilons (count,) into which the bias corrections have been drawn.

        With them ``p <- p - rate' m / (sqrt(v) + epsilon')``, the form at the end of section 2 of
        the paper. They are float64: in float32, ``1 - beta2^t`` loses half its digits.
        """
        t = np.arange(step, step + count) + 1.0
        root = np.sqrt(1 - self.beta2**t)
        return self.rates(step, count) * root / (1 - self.beta1**t), self.epsilon * root


Optimizer = SGD | RMSprop | Adam
