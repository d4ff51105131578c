"""Optimisers, updating parameters and slots in place. The formulas stand in ``suite.contract``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from suite.contract import SGD, Adam, Array, Optimizer, RMSprop, Tree

BLOCK = 32_768
"""Entries updated at a time: the arrays of an Adam step then stay in the processor's cache."""


class Updater:
    """Updates ``params`` and ``slots`` in place by the gradients of each step of a chunk."""

    def __init__(self, optimizer: Optimizer, params: Tree, slots: Mapping[str, Tree]):
        self._optimizer, self._params, self.slots = optimizer, params, slots
        dtype = next(iter(params.values())).dtype
        self._scratch = np.empty((2, BLOCK), dtype)
        self._rates: tuple[list[float], list[float]] = ([], [])

    def begin(self, step: int, count: int) -> None:
        """Before ``count`` updates that follow update number ``step``."""
        if isinstance(self._optimizer, Adam):
            rates, epsilons = self._optimizer.corrected(step, count)
            self._rates = rates.tolist(), epsilons.tolist()

    def apply(self, gradients: Tree, number: int) -> None:
        """The update ``number`` (from 0) of those begun."""
        match self._optimizer:
            case SGD(learning_rate):
                for p, g, t, _ in self._blocks(gradients):
                    np.multiply(g, learning_rate, out=t)
                    p -= t
            case RMSprop() as optimizer:
                for p, g, t, _, v in self._blocks(gradients):
                    _rmsprop(optimizer, p, g, v, t)
            case Adam() as optimizer:
                rate, epsilon = self._rates[0][number], self._rates[1][number]
                scale = _clip_factor(gradients, optimizer.clip)
                for p, g, t, u, m, v in self._blocks(gradients):
                    clipped = g if scale == 1 else np.multiply(g, scale, out=u)
                    _adam(optimizer, p, clipped, m, v, t, rate, epsilon)

    def _blocks(self, gradients: Tree) -> Iterator[tuple[Array, ...]]:
        """Block by block of each leaf: parameters, gradients, two scratch arrays, each slot."""
        for name, p in self._params.items():
            leaves = [p, gradients[name], *(tree[name] for tree in self.slots.values())]
            flat = [leaf.reshape(-1) for leaf in leaves]  # views: own leaves are contiguous
            for start in range(0, p.size, BLOCK):
                first, g, *slots = (leaf[start : start + BLOCK] for leaf in flat)
                t, u = self._scratch[:, : len(first)]
                yield first, g, t, u, *slots


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
