"""Searches over the options of a task: what was asked for, the trials, and the best of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import tasks
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.verdict import Verdict
from suite.session.space import Dimension, Values, dimension
from tasks.options import HELD_OUT, SEARCHES
from tasks.task import RequestError

LARGEST_GRID = 10_000


@dataclass(frozen=True)
class Plan:
    """The search that the user asked for.

    ``cell`` is that of every trial, with the options that are not searched; ``space`` the texts of
    those that are; ``limit`` the minutes after which no trial begins, None for none.
    """

    cell: Cell
    search: str
    trials: int
    space: dict[str, str]
    timeout: float
    limit: float | None = None
    data: str = "auto"
    """The data as they were asked for."""

    @property
    def metric(self) -> str:
        """The metric of the data held out by which trials are judged, the highest being best."""
        return SEARCHES[self.cell.task].metric

    @property
    def epochs(self) -> int:
        """Those of a trial that is not stopped."""
        return tasks.config(self.cell.task, self.cell.profile, self.cell.variant).epochs

    @cached_property
    def dimensions(self) -> dict[str, Dimension]:
        """The values that are searched, by option: of a grid, its points."""
        fixed = self.cell.options
        there = {n: dimension(self.cell, n, text, fixed) for n, text in self.space.items()}
        if self.search != "grid":
            return there
        return {name: Values(found.points) for name, found in there.items()}

    @property
    def grid(self) -> dict[str, list[str]]:
        """The values of every option that a grid is made of; nothing for another search."""
        there = self.dimensions.items() if self.search == "grid" else ()
        return {name: found.points for name, found in there}

    @property
    def most(self) -> int:
        """How many trials there will be: a grid has no more than its points."""
        size = math.prod(map(len, self.grid.values()))
        return min(self.trials, size) if self.grid else self.trials


@dataclass(frozen=True)
class Trial:
    """A trial that has ended, by its number from 1. ``stopped``: early, by the search."""

    number: int
    record: Record
    metric: str
    stopped: bool

    @property
    def values(self) -> list[float]:
        """The metric at the end of every epoch."""
        return [epoch["metrics"][self.metric] for epoch in self.record.epochs]

    @property
    def value(self) -> float | None:
        """The metric of a trial that was trained to its end; None of any other."""
        return self.values[-1] if self.record.outcome is Outcome.OK else None

    @property
    def fate(self) -> str:
        """How it ended, in a word or two."""
        return f"stopped after epoch {len(self.values)}" if self.stopped else self.record.outcome


@dataclass
class Search:
    """A search: its trials until now, and the proof of the best."""

    session: str
    plan: Plan
    trials: list[Trial] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def best(self) -> Trial | None:
        """The trial of the highest metric, the first of several; None if none came to its end."""
        ended = [trial for trial in self.trials if trial.value is not None]
        return max(ended, key=lambda trial: trial.value or 0.0, default=None)

    @property
    def verified(self) -> bool:
        """Tells if the best is the same model in every backend that could be tested."""
        tested = [verdict for verdict in self.verdicts if verdict.tested]
        return bool(tested) and all(verdict.verified for verdict in tested)

    @property
    def cell(self) -> Cell:
        """The cell that trains the best on all training data, to be scored on the test set."""
        assert self.best
        own = self.best.record.cell
        return replace(own, options={n: v for n, v in own.options.items() if n != HELD_OUT})

    @property
    def command(self) -> str:
        """The command that runs the best, in every backend."""
        return f"tetragrad run --task {self.cell.task_label} {self.cell.arguments()}"

    @property
    def scored(self) -> int:
        """Samples that are held out."""
        cell = self.plan.cell
        constants: Any = tasks.config(cell.task, cell.profile, cell.variant, cell.options)
        return int(constants.scored)

    @property
    def error(self) -> float:
        """The standard error of the best's accuracy over the data held out."""
        value = (self.best and self.best.value) or 0.0
        return math.sqrt(value * (1 - value) / self.scored)

    @property
    def near(self) -> int:
        """How many other trials are within one standard error of the best."""
        assert self.best
        lowest = (self.best.value or 0.0) - self.error
        return sum(t.value is not None and t.value >= lowest for t in self.trials) - 1


def require_possible(plan: Plan) -> None:
    """RequestError unless the plan can be searched as it says."""
    if plan.search in ("halving", "hyperband") and plan.epochs < 2:
        raise RequestError(
            f"--search {plan.search} stops trials between epochs, and profile "
            f"{plan.cell.profile} has one epoch; take --profile full, or --search random"
        )
    if not float(plan.cell.options[HELD_OUT]):
        raise RequestError(
            f"--set {HELD_OUT}=0 leaves the test set alone to score trials on; leave it out"
        )
    if both := [name for name in plan.dimensions if name in plan.cell.options]:
        raise RequestError(f"{both[0]} is both in --space and in --set; leave one of them out")
    size = math.prod(map(len, plan.grid.values()))
    if size > LARGEST_GRID:
        raise RequestError(
            f"the grid has {size:,} points, more than {LARGEST_GRID:,}; name fewer values with "
            "--space, or take --search random"
        )
