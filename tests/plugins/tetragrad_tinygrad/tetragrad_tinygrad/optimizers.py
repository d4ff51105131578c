"""Optimisers: updates in place, of parameters and of the slots of a State.

Written out rather than taken from ``tinygrad.nn.optim``, which has neither RMSprop nor Adagrad, and
whose Adam computes its bias corrections in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np
from tinygrad import Tensor

from tasks.optimizers import SGD, Adagrad, Adam, Momentum, Optimizer, RMSprop
from tasks.task import Array

Tensors = Mapping[str, Tensor]


def step_rates(
    optimizer: Optimizer, step: int, count: int, dtype: np.dtype[Any]
) -> Mapping[str, Array]:
    """Values that ``count`` updates after update number ``step`` need, each (count,).

    A rate that does not change is compiled in, but for Adam, whose corrections do.
    """
    if isinstance(optimizer, Adam):
        rate, epsilon = optimizer.corrected(step, count)
        return {"rate": rate.astype(dtype), "epsilon": epsilon.astype(dtype)}
    return {"rate": optimizer.rates(step, count).astype(dtype)} if optimizer.schedule else {}


def update(
    optimizer: Optimizer, params: Tensors, slots: Mapping[str, Tensors], given: Tensors
) -> list[Tensor]:
    """One step in place; ``given`` are its rates, and gradients by their parameters' names.

    Returns all that is to be realized.
    """
    rate: Any = given.get("rate", optimizer.learning_rate)
    clipped = _clip(optimizer, {name: given[name] for name in params})
    for name, p in params.items():
        g, own = clipped[name], {slot: tree[name] for slot, tree in slots.items()}
        match optimizer:
            case SGD():
                move = g
            case Momentum(_, momentum):
                move = own["m"].assign(momentum * own["m"] + g)
            case Adagrad(_, epsilon):
                move = g / (own["v"].assign(own["v"] + g * g).sqrt() + epsilon)
            case RMSprop(_, rho, epsilon):
                v = own["v"].assign(rho * own["v"] + (1 - rho) * g * g)
                move = g * (v + epsilon).rsqrt()
            case Adam(_, beta1, beta2):
                m = own["m"].assign(beta1 * own["m"] + (1 - beta1) * g)
                v = own["v"].assign(beta2 * own["v"] + (1 - beta2) * g * g)
                move = m / (v.sqrt() + given["epsilon"])
            case unknown:
                assert_never(unknown)
        p.assign(p - rate * move)
    return [*params.values(), *(t for tree in slots.values() for t in tree.values())]


def _clip(optimizer: Optimizer, gradients: Tensors) -> Tensors:
    """The gradients, with a global norm of at most ``clip`` if the optimiser has that."""
    if not isinstance(optimizer, Adam) or optimizer.clip is None:
        return gradients
    squares = [g.square().sum() for g in gradients.values()]
    factor = (optimizer.clip / Tensor.stack(*squares).sum().sqrt()).minimum(1.0)
    return {name: g * factor for name, g in gradients.items()}
