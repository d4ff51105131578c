"""Bisection: the smallest set of changes that shows a symptom, and the first version that does.

Both ask a ``test`` that says True (the symptom shows), False (it does not) or None (it cannot be
told: an environment that cannot be made, or an interval that does not decide).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

Change = TypeVar("Change")
Answer = bool | None


def smallest(
    changes: Sequence[Change], test: Callable[[Collection[Change]], Answer]
) -> list[Change]:
    """A smallest set of ``changes`` that shows the symptom: without any one, it shows no more.

    All together they show it, and none of them does not. This is ``ddmin`` of Zeller & Hildebrandt,
    "Simplifying and Isolating Failure-Inducing Input", 2002, figure 2. KeyboardInterrupt, or
    whatever ``test`` raises, is not caught.
    """
    left, parts = list(changes), 2
    while len(left) >= 2:
        size = -(-len(left) // parts)
        subsets = [left[at : at + size] for at in range(0, len(left), size)]
        rests = [[c for c in left if c not in subset] for subset in subsets]
        if found := next((s for s in subsets if test(s)), None):
            left, parts = found, 2
        elif len(subsets) > 2 and (found := next((r for r in rests if test(r)), None)):
            left, parts = found, max(parts - 1, 2)
        elif parts < len(left):
            parts = min(len(left), 2 * parts)
        else:
            break
    return left


def first_showing(count: int, test: Callable[[int], Answer]) -> tuple[int, int, list[int]]:
    """Where a symptom begins in a row of ``count`` versions, between one before and one behind it.

    Returns the last that does not show it (-1: the one before the row), the first that does
    (``count``: the one behind it), and those between the two of which it cannot be told. Among
    those that can be told, the symptom is taken to begin once.
    """
    good, bad, untold = -1, count, set[int]()
    while asked := [at for at in range(good + 1, bad) if at not in untold]:
        at = min(asked, key=lambda n: abs(2 * n - good - bad))
        answer = test(at)
        if answer is None:
            untold.add(at)
        elif answer:
            bad = at
        else:
            good = at
    return good, bad, [at for at in range(good + 1, bad) if at in untold]
