"""Optimisers to be tested with, each with its published formula."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, assert_never

import numpy as np

from tasks.optimizers import SGD, Adam, Cosine, Linear, Optimizer, RMSprop
from tasks.task import Array, State
from tests.tiny import RMSPROP

ADAM = Adam(1e-2, 0.9, 0.999, 1e-8)
OPTIMIZERS: list[Optimizer] = [
    RMSPROP,
    SGD(learning_rate=0.1),
    replace(ADAM, schedule=Cosine(10), clip=0.3),
]
"""One of every kind that tasks may be trained with."""
MORE: list[Optimizer] = [
    RMSprop(learning_rate=0.3, rho=0.5, epsilon=1e-2),
    SGD(learning_rate=3.0),
    ADAM,
    replace(ADAM, schedule=Linear(20)),
    replace(ADAM, clip=1e3),  # never reached
    Adam(learning_rate=0.5, beta1=0.5, beta2=0.9, epsilon=1e-2),
]
"""Further constants of theirs, high rates among them."""


@dataclass(frozen=True)
class Unknown:
    """An optimiser that nobody has an update for."""

    slots: ClassVar[tuple[str, ...]] = ()
    operations: ClassVar[int] = 1


UNKNOWN: Any = Unknown()


def published_formula(optimizer: Optimizer, state: State, gradients: dict[str, Array]) -> State:
    """The state after an update, step by step in plain NumPy, as the optimiser was published."""
    params, slots = dict(state.params), {k: dict(v) for k, v in state.slots.items()}
    factor = clip_factor(optimizer, gradients)
    for name, g in gradients.items():
        match optimizer:
            case SGD(eta):
                params[name] = params[name] - eta * g
            case RMSprop(eta, rho, epsilon):
                v = rho * slots["v"][name] + (1 - rho) * g**2
                slots["v"][name] = v
                params[name] = params[name] - eta * g / np.sqrt(v + epsilon)
            case Adam():
                _kingma_ba(optimizer, state.step + 1, params, slots, name, g * factor)
            case unknown:
                assert_never(unknown)
    return State(params, slots, state.buffers, state.step + 1)


def clip_factor(optimizer: Optimizer, gradients: dict[str, Array]) -> float:
    if not isinstance(optimizer, Adam) or optimizer.clip is None:
        return 1.0
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in gradients.values()]))
    return min(1.0, optimizer.clip / float(norm))


def _kingma_ba(c: Adam, t: int, params: Any, slots: dict[str, Any], name: str, g: Array) -> None:
    """Algorithm 1, with the learning rate of the schedule before update ``t``."""
    rate = c.learning_rate
    match c.schedule:
        case Linear(total):
            rate *= max(0, 1 - (t - 1) / total)
        case Cosine(total):
            rate *= (1 + math.cos(math.pi * min(1, (t - 1) / total))) / 2
        case None:
            pass
        case unknown:
            assert_never(unknown)
    m = slots["m"][name] = c.beta1 * slots["m"][name] + (1 - c.beta1) * g
    v = slots["v"][name] = c.beta2 * slots["v"][name] + (1 - c.beta2) * g**2
    m_hat, v_hat = m / (1 - c.beta1**t), v / (1 - c.beta2**t)
    params[name] = params[name] - rate * m_hat / (np.sqrt(v_hat) + c.epsilon)
