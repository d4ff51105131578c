"""Optimisers to be tested with, each with its published formula."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, assert_never

import numpy as np

from tasks.optimizers import (
    SGD,
    Adagrad,
    Adam,
    Cosine,
    Exponential,
    Inverse,
    Linear,
    Momentum,
    Optimizer,
    RMSprop,
)
from tasks.task import Array, State
from tests.tiny import RMSPROP

ADAM = Adam(1e-2, 0.9, 0.999, 1e-8)
OPTIMIZERS: list[Optimizer] = [
    RMSPROP,
    SGD(learning_rate=0.1),
    Momentum(learning_rate=0.1, momentum=0.9, schedule=Exponential(10)),
    Adagrad(learning_rate=0.1, epsilon=1e-7),
    replace(ADAM, schedule=Cosine(10), clip=0.3),
]
"""One of every kind that tasks may be trained with."""
MORE: list[Optimizer] = [
    RMSprop(learning_rate=0.3, rho=0.5, epsilon=1e-2),
    SGD(learning_rate=3.0),
    SGD(learning_rate=0.3, schedule=Linear(10)),
    Momentum(learning_rate=0.3, momentum=0.5),
    Adagrad(learning_rate=1.0, epsilon=1e-2, schedule=Inverse(10)),
    replace(RMSPROP, schedule=Cosine(10)),
    ADAM,
    replace(ADAM, schedule=Linear(20)),
    replace(ADAM, clip=1e3),  # never reached
    Adam(learning_rate=0.5, beta1=0.5, beta2=0.9, epsilon=1e-2),
]
"""Further constants of theirs, high rates among them."""


@dataclass(frozen=True)
class Unknown:
    """An optimiser that nobody has an update for."""

    learning_rate: float = 0.1
    slots: ClassVar[tuple[str, ...]] = ()
    operations: ClassVar[int] = 1
    schedule: ClassVar[None] = None

    def rates(self, step: int, count: int) -> Array:
        return np.full(count, self.learning_rate)


UNKNOWN: Any = Unknown()


def published_formula(optimizer: Optimizer, state: State, gradients: dict[str, Array]) -> State:
    """The state after an update, step by step in plain NumPy, as the optimiser was published."""
    params, slots = dict(state.params), {k: dict(v) for k, v in state.slots.items()}
    factor, eta = clip_factor(optimizer, gradients), rate_of(optimizer, state.step)
    for name, g in gradients.items():
        match optimizer:
            case SGD():
                params[name] = params[name] - eta * g
            case Momentum(_, momentum):
                slots["m"][name] = momentum * slots["m"][name] + g
                params[name] = params[name] - eta * slots["m"][name]
            case Adagrad(_, epsilon):
                slots["v"][name] = slots["v"][name] + g**2
                params[name] = params[name] - eta * g / (np.sqrt(slots["v"][name]) + epsilon)
            case RMSprop(_, rho, epsilon):
                v = rho * slots["v"][name] + (1 - rho) * g**2
                slots["v"][name] = v
                params[name] = params[name] - eta * g / np.sqrt(v + epsilon)
            case Adam():
                _kingma_ba(optimizer, eta, state.step + 1, params, slots, name, g * factor)
            case unknown:
                assert_never(unknown)
    return State(params, slots, state.buffers, state.step + 1)


def clip_factor(optimizer: Optimizer, gradients: dict[str, Array]) -> float:
    if not isinstance(optimizer, Adam) or optimizer.clip is None:
        return 1.0
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in gradients.values()]))
    return min(1.0, optimizer.clip / float(norm))


def rate_of(optimizer: Optimizer, made: int) -> float:
    """The learning rate of the schedule after ``made`` updates."""
    rate = optimizer.learning_rate
    match optimizer.schedule:
        case Linear(total):
            return rate * max(0, 1 - made / total)
        case Cosine(total):
            return rate * (1 + math.cos(math.pi * min(1, made / total))) / 2
        case Exponential(total):
            return rate * math.exp(-math.log(10) * made / total)
        case Inverse(total):
            return rate / (1 + 9 * made / total)
        case None:
            return rate
        case unknown:
            assert_never(unknown)


def _kingma_ba(
    c: Adam, rate: float, t: int, params: Any, slots: dict[str, Any], name: str, g: Array
) -> None:
    """Algorithm 1, with the learning rate before update ``t``."""
    m = slots["m"][name] = c.beta1 * slots["m"][name] + (1 - c.beta1) * g
    v = slots["v"][name] = c.beta2 * slots["v"][name] + (1 - c.beta2) * g**2
    m_hat, v_hat = m / (1 - c.beta1**t), v / (1 - c.beta2**t)
    params[name] = params[name] - rate * m_hat / (np.sqrt(v_hat) + c.epsilon)
