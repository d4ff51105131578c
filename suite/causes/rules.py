"""Rules of an update in NumPy float64: the proof's own, and others that are written for them.

Letters as in ``tasks.optimizers``: g is a gradient, m and v an optimiser's memory, t counts steps
from 1. Every formula acts entry by entry, on arrays of any shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, assert_never

import numpy as np

from suite.causes.evidence import Watched
from tasks.optimizers import SGD, Adagrad, Adam, Momentum, Optimizer, RMSprop
from tasks.task import Array, Tree

Memory = dict[str, Array]
"""The slots of one leaf by name, which a formula renews; one that is not there yet is 0."""
Formula = Callable[[Array, Memory, float, int], Array]
"""From a gradient, its memory, the rate and t to that which is taken from the parameter."""
Clip = Callable[[Tree, Mapping[str, float]], Tree]
"""From gradients and the norms of their whole leaves to clipped gradients."""
Place = Literal[
    "outside", "before correction", "inside", "inside, uncorrected", "inside, half corrected"
]
"""Where Adam's epsilon is. Both of the last are inside the root of a v that is not corrected yet:
as it is, or scaled by sqrt(1 - beta2^t), as ``Adam.corrected`` scales it."""


@dataclass(frozen=True)
class AdamFormula:
    """Adam; ``corrected`` tells which of m and v are corrected for their beginning at 0."""

    beta1: float
    beta2: float
    epsilon: float
    place: Place = "outside"
    corrected: tuple[bool, bool] = (True, True)
    whole: bool = False
    """True if m adds whole gradients: ``m <- beta1 m + g``."""
    correcting: tuple[float, float] | None = None
    """The betas by which m and v are corrected, if they are others."""
    largest: bool = False
    """True for AMSGrad, which divides by the largest v until now."""

    def __call__(self, g: Array, memory: Memory, rate: float, t: int) -> Array:
        m = self.beta1 * memory["m"] + (1 if self.whole else 1 - self.beta1) * g
        v = self.beta2 * memory["v"] + (1 - self.beta2) * g * g
        memory["m"], memory["v"] = m, v
        if self.largest:
            v = memory["largest"] = np.maximum(v, memory.get("largest", 0.0))
        betas = self.correcting or (self.beta1, self.beta2)
        c1, c2 = (
            1 - beta**t if corrected else 1.0
            for beta, corrected in zip(betas, self.corrected, strict=True)
        )
        return rate * (m / c1) / self._divisor(v, c2)

    def _divisor(self, v: Array, c: float) -> Array:
        root, e = math.sqrt(c), self.epsilon
        match self.place:
            case "outside":
                return np.sqrt(v) / root + e
            case "before correction":
                return (np.sqrt(v) + e) / root
            case "inside":
                return np.asarray(np.sqrt(v / c + e))
            case "inside, uncorrected":
                return np.sqrt(v + e) / root
            case "inside, half corrected":
                return np.sqrt(v + e * root) / root
        assert_never(self.place)


@dataclass(frozen=True)
class RMSpropFormula:
    """RMSprop; with ``momentum``, a velocity of the scaled gradients is taken."""

    rho: float
    epsilon: float
    inside: bool = True
    momentum: float = 0.0
    centered: bool = False

    def __call__(self, g: Array, memory: Memory, rate: float, t: int) -> Array:
        v = memory["v"] = self.rho * memory["v"] + (1 - self.rho) * g * g
        if self.centered:
            mean = memory["mean"] = self.rho * memory.get("mean", 0.0) + (1 - self.rho) * g
            v = v - mean * mean
        scaled = g / (np.sqrt(v + self.epsilon) if self.inside else np.sqrt(v) + self.epsilon)
        velocity = memory["velocity"] = self.momentum * memory.get("velocity", 0.0) + rate * scaled
        return np.asarray(velocity)


@dataclass(frozen=True)
class MomentumFormula:
    """Momentum: ``m <- momentum m + (1 - dampening) g``."""

    momentum: float
    dampening: float = 0.0
    nesterov: bool = False
    rate_inside: bool = False
    """True if the velocity adds up ``rate g``, as in Keras."""

    def __call__(self, g: Array, memory: Memory, rate: float, t: int) -> Array:
        name = "velocity" if self.rate_inside else "m"
        gain, outer = (rate, 1.0) if self.rate_inside else (1.0 - self.dampening, rate)
        m = memory[name] = self.momentum * memory.get(name, 0.0) + gain * g
        return np.asarray(outer * (self.momentum * m + gain * g if self.nesterov else m))


@dataclass(frozen=True)
class AdagradFormula:
    """Adagrad; ``initial`` is what the memory begins with."""

    epsilon: float
    inside: bool = False
    initial: float = 0.0

    def __call__(self, g: Array, memory: Memory, rate: float, t: int) -> Array:
        v = memory["v"] = memory["v"] + g * g
        v = v + self.initial  # the memory that is noted begins at 0
        root = np.sqrt(v + self.epsilon) if self.inside else np.sqrt(v) + self.epsilon
        return np.asarray(rate * g / root)


def formula_of(optimizer: Optimizer) -> Formula:
    """The formula of the proof."""
    match optimizer:
        case Adam():
            return AdamFormula(optimizer.beta1, optimizer.beta2, optimizer.epsilon)
        case RMSprop():
            return RMSpropFormula(optimizer.rho, optimizer.epsilon)
        case Momentum():
            return MomentumFormula(optimizer.momentum)
        case SGD():
            return MomentumFormula(0.0)
        case Adagrad():
            return AdagradFormula(optimizer.epsilon)
    assert_never(optimizer)


def unclipped(gradients: Tree, norms: Mapping[str, float]) -> Tree:
    """The gradients as they are."""
    return gradients


@dataclass(frozen=True)
class ClipAll:
    """Clips the norm over all leaves to ``limit``, with ``added`` to the norm that divides."""

    limit: float
    added: float = 0.0

    def __call__(self, gradients: Tree, norms: Mapping[str, float]) -> Tree:
        whole = math.sqrt(sum(norm**2 for norm in norms.values()))
        factor = min(1.0, self.limit / (whole + self.added)) if whole else 1.0
        return {name: g * factor for name, g in gradients.items()}


@dataclass(frozen=True)
class ClipEach:
    """Clips the norm of every leaf for itself."""

    limit: float

    def __call__(self, gradients: Tree, norms: Mapping[str, float]) -> Tree:
        return {n: g * (self.limit / max(norms[n], self.limit)) for n, g in gradients.items()}


@dataclass(frozen=True)
class ClipEntries:
    """Clips every entry to [-limit, limit]."""

    limit: float

    def __call__(self, gradients: Tree, norms: Mapping[str, float]) -> Tree:
        return {name: np.clip(g, -self.limit, self.limit) for name, g in gradients.items()}


def everywhere(leaf: str) -> float:
    """Every leaf moves as the formula says."""
    return 1.0


@dataclass(frozen=True)
class Rule:
    """An update: clip, coupled decay, formula at the rate, decoupled decay."""

    formula: Formula
    rate: Callable[[int], float]
    """The rate after so many updates."""
    clip: Clip = field(default=unclipped)
    coupled: float = 0.0
    """Times the parameter, it is added to the gradient."""
    decoupled: float = 0.0
    """Times the rate and the parameter, it is taken from the parameter."""
    moves: Callable[[str], float] = field(default=everywhere)
    """A factor of a leaf's movement."""


def rule_of(optimizer: Optimizer) -> Rule:
    """The rule of the proof."""
    clip = ClipAll(optimizer.clip) if isinstance(optimizer, Adam) and optimizer.clip else unclipped
    return Rule(formula_of(optimizer), lambda step: float(optimizer.rates(step, 1)[0]), clip)


def follow(rule: Rule, window: Sequence[Watched]) -> dict[str, Array]:
    """Parameters and memory after every watched step, by ``step/leaf`` and ``step/slot/leaf``.

    Every step begins at the port's own parameters and takes its own gradients; the memory begins
    with the port's own and goes on by the rule.
    """
    memories = {
        leaf: {slot: tree[leaf] for slot, tree in window[0].before.slots.items()}
        for leaf in window[0].gradients  # of what is frozen there are none
    }
    followed: dict[str, Array] = {}
    for step in window:
        clipped = rule.clip(step.gradients, step.norms)
        rate = rule.rate(step.step)
        for leaf, memory in memories.items():
            p = step.before.params[leaf]
            g = clipped[leaf] + rule.coupled * p
            with np.errstate(invalid="ignore", divide="ignore"):  # without an epsilon, 0 / 0
                moved = rule.formula(g, memory, rate, step.step + 1)
            moved = moved + rate * rule.decoupled * p
            followed[f"{step.step}/{leaf}"] = p - rule.moves(leaf) * moved
            for slot in step.before.slots:
                followed[f"{step.step}/{slot}/{leaf}"] = memory[slot]
    return followed


def results(window: Sequence[Watched]) -> dict[str, Array]:
    """The port's own parameters and memory after every watched step, by the same names."""
    found: dict[str, Array] = {}
    for step in window:
        for leaf in step.gradients:
            found[f"{step.step}/{leaf}"] = step.after.params[leaf]
            for slot, tree in step.after.slots.items():
                found[f"{step.step}/{slot}/{leaf}"] = tree[leaf]
    return found
