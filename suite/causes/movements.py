"""The search for causes in the update: all rules that are known are followed, and those that the
lengths of the steps suggest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from suite.causes.difference import Difference, Explanation, best
from suite.causes.evidence import Watched
from suite.causes.relations import factor_of
from suite.causes.rules import follow, results, rule_of
from suite.causes.updates import CAUSES, Said, TwoBiases, UpdateCause, is_bias
from tasks.optimizers import Optimizer
from tasks.task import Tree

CLOSE = 1e-6
"""Factors of a step that differ by less are the same."""


def explanations(
    optimizer: Optimizer, window: Sequence[Watched], allowed: float
) -> tuple[Difference, list[Explanation]]:
    """How far the watched steps differ from the proof's rule, and the causes that explain it.

    ``allowed`` is the error that the proof allows of the state. Leaves whose gradient is nothing
    but rounding are left out.
    """
    noise = frozenset().union(*(step.noise() for step in window))

    def kept(tree: Tree) -> Tree:
        return {name: a for name, a in tree.items() if name.rpartition("/")[2] not in noise}

    difference = Difference(
        kept(results(window)), kept(follow(rule_of(optimizer), window)), allowed
    )
    if not difference.differing:
        return difference, []
    found = []
    for cause in (*CAUSES, *_movements(optimizer, difference, window)):
        for said, rule in cause.rules(optimizer):
            # most are refuted by the first step already
            if not difference.explains(difference.rest(kept(follow(rule, window[:1])))):
                continue
            rest = difference.rest(kept(follow(rule, window)))
            if difference.explains(rest):
                found.append(Explanation(cause.name, said, cause.remedy, rest))
    return difference, best(found)


class NotTrained(UpdateCause):
    """A leaf that stays where it is."""

    name = "a parameter is not trained"
    remedy = (
        "look for requires_grad=False, trainable=False, optax.masked, or a parameter that the "
        "optimiser was not given"
    )

    def __init__(self, leaves: Sequence[str] = ()) -> None:
        self._leaves = tuple(leaves)

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        still = frozenset(self._leaves)
        if still:
            rule = replace(rule_of(optimizer), moves=lambda leaf: 0.0 if leaf in still else 1.0)
            yield f"{', '.join(self._leaves)} does not move", rule


class OtherRate(UpdateCause):
    """All steps longer or shorter by a factor."""

    name = "another learning rate"
    remedy = (
        "defaults: 1e-3 in torch.optim.Adam and SGD and in Keras' Adam, 1e-2 in torch.optim.RMSprop"
        " and Adagrad and in Keras' SGD"
    )

    def __init__(self, factor: float = 1.0) -> None:
        self._factor = factor

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if self._factor != 1.0:
            rate = self._factor * optimizer.learning_rate
            said = f"the learning rate is {rate:.6g}, not {optimizer.learning_rate:g}"
            yield said, replace(rule_of(optimizer), moves=lambda leaf: self._factor)


class SomeTwoBiases(TwoBiases):
    """Two biases for one in some layers."""

    def __init__(self, leaves: Sequence[str]) -> None:
        self._leaves = tuple(leaves)

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        double = frozenset(self._leaves)
        rule = replace(rule_of(optimizer), moves=lambda leaf: 2.0 if leaf in double else 1.0)
        yield f"{', '.join(self._leaves)} moves twice as far, as if there were two of it", rule


def _movements(
    optimizer: Optimizer, difference: Difference, window: Sequence[Watched]
) -> list[UpdateCause]:
    """Causes that the lengths of the first step suggest, leaf by leaf."""
    first = window[0]
    factors = {}
    for leaf, p in first.before.params.items():
        name = f"{first.step}/{leaf}"
        if name in difference.reference and difference.errors[name] > 0:
            factors[leaf] = factor_of(difference.own[name] - p, difference.reference[name] - p)
    still = [leaf for leaf, k in factors.items() if abs(k) < CLOSE]
    twice = [leaf for leaf, k in factors.items() if abs(k - 2) < CLOSE and is_bias(leaf)]
    found: list[UpdateCause] = [NotTrained(still)] if still else []
    if twice and any(is_bias(leaf) and leaf not in twice for leaf in first.before.params):
        found.append(SomeTwoBiases(twice))
    lengths = sorted(factors.values())
    if lengths and not still and lengths[-1] - lengths[0] < CLOSE * abs(lengths[-1]):
        found.append(OtherRate(lengths[len(lengths) // 2]))
    return found
