"""The optimisers that tasks are trained with, and how their learning rates change.

Only constants and formulas: each backend has its own update, in its own ``optimizers.py``. Of every
optimiser, ``slots`` names what it remembers of each parameter, and ``operations`` counts the
floating-point operations that its formula takes for one parameter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
ADDED = {"added": True}
"""Metadata of a constant that was added to what had been recorded without it: specifications leave
it out while it has its default, so that records of before are still of the same model."""


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
class Exponential:
    """A learning rate that falls by the same factor at every step, to a tenth after ``total``."""

    total: int

    def factor(self, step: Array) -> Array:
        """The factor ``10^(-step / total)`` of the rate after ``step`` updates, any shape."""
        return np.asarray(10.0 ** (-np.asarray(step) / self.total))

    def within(self, steps: int) -> Exponential:
        """The same course in ``steps`` steps."""
        return Exponential(steps)


@dataclass(frozen=True)
class Inverse:
    """A learning rate that falls as 1 / (1 + k step), to a tenth after ``total`` steps.

    Robbins & Monro, "A stochastic approximation method", 1951: the rates' sum diverges, that of
    their squares does not.
    """

    total: int

    def factor(self, step: Array) -> Array:
        """The factor ``1 / (1 + 9 step / total)`` after ``step`` updates, any shape."""
        return np.asarray(1 / (1 + 9 * np.asarray(step) / self.total))

    def within(self, steps: int) -> Inverse:
        """The same course in ``steps`` steps."""
        return Inverse(steps)


Schedule = Linear | Cosine | Exponential | Inverse


class _Scheduled:
    """The rates of an optimiser whose ``learning_rate`` may have a ``schedule``."""

    learning_rate: float
    schedule: Schedule | None

    def rates(self, step: int, count: int) -> Array:
        """The scheduled learning rates of ``count`` updates after ``step``, (count,) float64."""
        steps = np.arange(step, step + count)
        return self.learning_rate * (
            self.schedule.factor(steps) if self.schedule else 1.0 + 0 * steps
        )


@dataclass(frozen=True)
class SGD(_Scheduled):
    """Stochastic gradient descent: ``p <- p - rate g``, the rate ``learning_rate`` as scheduled."""

    learning_rate: float
    schedule: Schedule | None = field(default=None, metadata=ADDED)
    slots: ClassVar[tuple[str, ...]] = ()
    operations: ClassVar[int] = 2


@dataclass(frozen=True)
class Momentum(_Scheduled):
    """Gradient descent with momentum, as in PyTorch and optax.

    ``m <- momentum m + g``;  ``p <- p - rate m``
    (Polyak, "Some methods of speeding up the convergence of iteration methods", 1964, equation 9).
    Keras has the rate inside m, which is another course as soon as the rate changes.
    """

    learning_rate: float
    momentum: float
    schedule: Schedule | None = None
    slots: ClassVar[tuple[str, ...]] = ("m",)
    operations: ClassVar[int] = 4


@dataclass(frozen=True)
class Adagrad(_Scheduled):
    """Adagrad with epsilon outside the root and a memory that begins at 0, as in PyTorch.

    ``v <- v + g^2``;  ``p <- p - rate g / (sqrt(v) + epsilon)``
    (Duchi, Hazan & Singer, "Adaptive subgradient methods", 2011, figure 1 with the diagonal of G;
    Keras and optax begin at .1).
    """

    learning_rate: float
    epsilon: float
    schedule: Schedule | None = None
    slots: ClassVar[tuple[str, ...]] = ("v",)
    operations: ClassVar[int] = 7


@dataclass(frozen=True)
class RMSprop(_Scheduled):
    """RMSprop with epsilon inside the root, as in Keras 3.

    ``v <- rho v + (1 - rho) g^2``;  ``p <- p - rate g / sqrt(v + epsilon)``
    (Hinton, "Neural Networks for Machine Learning", lecture 6e, 2012; the place of epsilon differs
    between frameworks and changes the loss by some 2% within ten steps).
    """

    learning_rate: float
    rho: float
    epsilon: float
    schedule: Schedule | None = field(default=None, metadata=ADDED)
    slots: ClassVar[tuple[str, ...]] = ("v",)
    operations: ClassVar[int] = 9


@dataclass(frozen=True)
class Adam(_Scheduled):
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
    schedule: Schedule | None = None
    clip: float | None = None
    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    @property
    def operations(self) -> int:
        return 12 if self.clip is None else 15

    def corrected(self, step: int, count: int) -> tuple[Array, Array]:
        """Rates and epsilons (count,) into which the bias corrections have been drawn.

        With them ``p <- p - rate' m / (sqrt(v) + epsilon')``, the form at the end of section 2 of
        the paper. They are float64: in float32, ``1 - beta2^t`` loses half its digits.
        """
        t = np.arange(step, step + count) + 1.0
        root = np.sqrt(1 - self.beta2**t)
        return self.rates(step, count) * root / (1 - self.beta1**t), self.epsilon * root


Optimizer = SGD | Momentum | Adagrad | RMSprop | Adam
