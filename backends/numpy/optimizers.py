"""Optimisers, updating parameters and slots in place. The formulas stand in ``suite.contract``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from suite.contract import SGD, Adam, Array, Optimizer, RMSprop, Tree

BLOCK = 65_536
"""Entries updated at a time: the arrays of an Adam step then stay in the processor's cache."""


class Updater:
    """Updates ``params`` and ``slots`` in place by the gradients of each step of a chunk."""

    def __init__(self, optimizer: Optimizer, params: Tree, slots: Mapping[str, Tree]):
        self._optimizer, self.slots = optimizer, slots
        self._blocks = list(_blocks(params, slots))
        self._rates: tuple[list[float], list[float]] = ([], [])

    def begin(self, step: int, count: int) -> None:
        """Before ``count`` updates that follow update number ``step``."""
        if isinstance(self._optimizer, Adam):
            rates, epsilons = self._optimizer.corrected(step, count)
            self._rates = rates.tolist(), epsilons.tolist()

    def apply(self, gradients: Tree, number: int) -> None:
        """The update ``number`` (from 0) of those begun."""
        optimizer = self._optimizer
        if isinstance(optimizer, Adam):
            rate, epsilon = self._rates[0][number], self._rates[1][number]
            scale = _clip_factor(gradients, optimizer.clip)
        for name, part, t, p, *slots in self._blocks:
            g = gradients[name].reshape(-1)[part]
            match optimizer:
                case SGD(learning_rate):
                    p -= np.multiply(g, learning_rate, out=t)
                case RMSprop():
                    (v,) = slots
                    _rmsprop(optimizer, p, g, v, t)
                case Adam():
                    m, v = slots
                    clipped = g if scale == 1 else g * scale
                    _adam(optimizer, p, clipped, m, v, t, rate, epsilon)


def _blocks(params: Tree, slots: Mapping[str, Tree]) -> Iterator[tuple[Any, ...]]:
    """Of each leaf's blocks: its name, where the block lies, and views of a scratch array, of the
    parameters and of every slot there."""
    scratch = np.empty(BLOCK, next(iter(params.values())).dtype)
    for name, leaf in params.items():
        flat = [a.reshape(-1) for a in (leaf, *(tree[name] for tree in slots.values()))]
        for start in range(0, leaf.size, BLOCK):
            part = slice(start, min(start + BLOCK, leaf.size))
            yield name, part, scratch[: part.stop - start], *(a[part] for a in flat)


def _rmsprop(c: RMSprop, p: Array, g: Array, v: Array, t: Array) -> None:
    np.multiply(g, g, out=t)
    t *= 1 - c.rho
    v *= c.rho
    v += t
    np.add(v, c.epsilon, out=t)
    np.sqrt(t, out=t)
    np.divide(g, t, out=t)
    t *= c.learning_rate
    p -= t


def _adam(
    c: Adam, p: Array, g: Array, m: Array, v: Array, t: Array, rate: float, epsilon: float
) -> None:
    np.multiply(g, g, out=t)
    t *= 1 - c.beta2
    v *= c.beta2
    v += t
    np.multiply(g, 1 - c.beta1, out=t)
    m *= c.beta1
    m += t
    np.sqrt(v, out=t)
    t += epsilon
    np.divide(m, t, out=t)
    t *= rate
    p -= t


def _clip_factor(gradients: Tree, clip: float | None) -> float:
    if clip is None:
        return 1.0
    norm = np.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
    return min(1.0, clip / norm) if norm else 1.0
