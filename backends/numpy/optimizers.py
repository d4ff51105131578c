"""Optimisers that update parameters and slots in place; the formulas: ``tasks.optimizers``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from backends.numpy.arrays import BLOCK, ON_GPU, xp
from tasks.optimizers import SGD, Adagrad, Adam, Momentum, Optimizer, RMSprop
from tasks.task import Array, Tree


class Updater:
    """Updates ``params``, those that are trained, and ``slots`` in place by the gradients of each
    step of a chunk."""

    def __init__(self, optimizer: Optimizer, params: Tree, slots: Mapping[str, Tree]):
        self._optimizer, self.slots = optimizer, slots
        self._blocks = list(_blocks(params, slots))
        self._rates: tuple[list[float], list[float]] = ([], [])
        """The rate of each update and, for Adam, its epsilon."""

    def begin(self, step: int, count: int) -> None:
        """Before ``count`` updates that follow update number ``step``."""
        if isinstance(self._optimizer, Adam):
            rates, epsilons = self._optimizer.corrected(step, count)
            self._rates = rates.tolist(), epsilons.tolist()
        else:
            self._rates = self._optimizer.rates(step, count).tolist(), []

    def apply(self, gradients: Tree, number: int) -> None:
        """The update ``number`` (from 0) of those begun."""
        optimizer, rate = self._optimizer, self._rates[0][number]
        if isinstance(optimizer, Adam):
            epsilon = self._rates[1][number]
            scale = _clip_factor(gradients, optimizer.clip)
        for name, part, t, p, *slots in self._blocks:
            g = gradients[name].reshape(-1)[part]
            match optimizer:
                case SGD():
                    p -= xp.multiply(g, rate, out=t)
                case Momentum(_, momentum):
                    (m,) = slots
                    m *= momentum
                    m += g
                    p -= xp.multiply(m, rate, out=t)
                case Adagrad():
                    (v,) = slots
                    _adagrad(optimizer, p, g, v, t, rate)
                case RMSprop():
                    (v,) = slots
                    _rmsprop(optimizer, p, g, v, t, rate)
                case Adam():
                    m, v = slots
                    clipped = g if scale is None else g * scale
                    _adam(optimizer, p, clipped, m, v, t, rate, epsilon)
                case unknown:
                    assert_never(unknown)


def _blocks(params: Tree, slots: Mapping[str, Tree]) -> Iterator[tuple[Any, ...]]:
    """Blocks of leaves: the leaf's name, the block's place in it, and views of a scratch array, of
    the parameters and of every slot."""
    largest = max(leaf.size for leaf in params.values())
    scratch = xp.empty(min(BLOCK, largest), next(iter(params.values())).dtype)
    for name, leaf in params.items():
        flat = [a.reshape(-1) for a in (leaf, *(tree[name] for tree in slots.values()))]
        for start in range(0, leaf.size, BLOCK):
            part = slice(start, min(start + BLOCK, leaf.size))
            yield name, part, scratch[: part.stop - start], *(a[part] for a in flat)


def _adagrad(c: Adagrad, p: Array, g: Array, v: Array, t: Array, rate: float) -> None:
    v += xp.multiply(g, g, out=t)
    xp.sqrt(v, out=t)
    t += c.epsilon
    xp.divide(g, t, out=t)
    t *= rate
    p -= t


def _rmsprop(c: RMSprop, p: Array, g: Array, v: Array, t: Array, rate: float) -> None:
    xp.multiply(g, g, out=t)
    t *= 1 - c.rho
    v *= c.rho
    v += t
    xp.add(v, c.epsilon, out=t)
    xp.sqrt(t, out=t)
    xp.divide(g, t, out=t)
    t *= rate
    p -= t


def _adam(
    c: Adam, p: Array, g: Array, m: Array, v: Array, t: Array, rate: float, epsilon: float
) -> None:
    xp.multiply(g, g, out=t)
    t *= 1 - c.beta2
    v *= c.beta2
    v += t
    xp.multiply(g, 1 - c.beta1, out=t)
    m *= c.beta1
    m += t
    xp.sqrt(v, out=t)
    t += epsilon
    xp.divide(m, t, out=t)
    t *= rate
    p -= t


def _clip_factor(gradients: Tree, clip: float | None) -> Any:
    """The factor that clips gradients; None where they need not be multiplied."""
    if clip is None:
        return None
    squares = [xp.vdot(g, g) for g in gradients.values()]
    if ON_GPU:  # the host does not wait to know it
        return xp.minimum(1, clip / xp.sqrt(sum(squares)))
    norm = math.sqrt(sum(map(float, squares)))  # not NumPy's: its float64 would make g that
    return clip / norm if norm > clip else None
