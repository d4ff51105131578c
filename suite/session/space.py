"""The values of an option that are searched, from a text such as ``relu,elu`` or ``1e-4..1e-1``."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import tasks
from suite.records.cell import Conditions
from tasks import outside
from tasks.options import MODEL, SEARCHES
from tasks.task import RequestError, nearest

if TYPE_CHECKING:
    from optuna import Trial

DOTS = ".."
EVEN = 5
"""Points of a grid in a range that is not logarithmic."""


def chosen(task: str, asked: Sequence[str], fixed: Container[str]) -> dict[str, str]:
    """The space by option that ``--space`` gives; if it gives none the task's, but for what is
    ``fixed``.

    RequestError for a text that is not ``NAME=VALUES``, an option that the task has not, or a task
    that has none to search.
    """
    if task not in SEARCHES:
        there = ", ".join(SEARCHES)
        raise RequestError(
            f"{outside.shown(task)} has no options to search; tasks that have are: {there}"
        )
    space = {}
    for text in asked:
        name, equals, values = text.partition("=")
        known = MODEL[task]
        if name not in known:
            like = nearest(name, known)
            raise RequestError(
                f"--space {text}: {task} has no option {name!r}{like}; its options are: "
                f"{', '.join(known)}"
            )
        if not equals or not values:
            raise RequestError(
                f"--space {text} has no values; give {name}=A,B,C or {name}=LOW..HIGH"
            )
        space[name] = values
    own = SEARCHES[task].space.items()
    return space or {name: values for name, values in own if name not in fixed}


@dataclass(frozen=True)
class Values:
    """Values of an option, as ``--set`` takes them."""

    points: list[str]

    def draw(self, trial: Trial, name: str) -> None:
        """Lets a trial draw the option, unless it has it already."""
        trial.suggest_categorical(name, self.points)

    def text(self, value: Any) -> str:
        """A value that was drawn, as ``--set`` takes it."""
        return str(value)


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, whole if these are; logarithmic unless ``low`` is 0."""

    low: float
    high: float

    @property
    def logarithmic(self) -> bool:
        """Tells if as much is drawn between 0.1 and 1 as between 1 and 10."""
        return self.low > 0

    def draw(self, trial: Trial, name: str) -> None:
        """Lets a trial draw the option, unless it has it already."""
        draw = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        draw(name, self.low, self.high, log=self.logarithmic)

    @property
    def points(self) -> list[str]:
        """The values that a grid has: of a logarithmic range one in each decade, with both ends."""
        decades = round(math.log10(self.high / self.low)) if self.logarithmic else EVEN - 1
        return self.spread(max(1, decades) + 1)

    def spread(self, count: int) -> list[str]:
        """So many values with both ends, evenly spread: by ratio if the range is logarithmic."""
        values = np.linspace(self.low, self.high, count)
        if self.logarithmic:
            values = np.geomspace(self.low, self.high, count)
        whole = isinstance(self.low, int)
        return [*dict.fromkeys(self.text(round(v) if whole else v) for v in values.tolist())]

    def text(self, value: Any) -> str:
        """A number as ``--set`` takes it, to three digits unless it is whole."""
        short = str(value) if isinstance(value, int) else f"{value:.3g}"
        return short if self.low <= float(short) <= self.high else repr(value)


Dimension = Values | Range


def dimension(conditions: Conditions, name: str, text: str, fixed: Mapping[str, str]) -> Dimension:
    """The values that ``text`` gives the option ``name``, beside the ``fixed`` ones.

    ``LOW..HIGH`` is a range. Else values stand between commas; between semicolons if there is one,
    so that a value may have commas. RequestError for what the option cannot be.
    """
    c = conditions

    def read(value: str) -> Any:
        tasks.config(c.task, c.profile, c.variant, {**fixed, name: value})
        return MODEL[c.task][name](value)

    low, dots, high = text.partition(DOTS)
    if not dots:
        values = [*dict.fromkeys(text.split(";" if ";" in text else ","))]
        for value in values:
            read(value)
        return Values(values)
    first, last = read(low), read(high)
    if not {type(first), type(last)} <= {int, float}:
        raise RequestError(f"--space {name}={text}: {name} has no ranges; give values as A,B,C")
    if not first < last:
        raise RequestError(f"--space {name}={text} is empty; give the lower end first")
    return Range(first, last)
