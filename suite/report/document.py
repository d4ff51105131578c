"""The shape of a report's content."""

from __future__ import annotations

from dataclasses import dataclass

from suite.records.cell import Cell, Conditions
from suite.records.convergence import Comparison, Reading
from suite.records.differences import Difference
from suite.records.lecture import Beside
from suite.records.machines import Machines
from suite.records.verdict import Deviation
from suite.report.batches import BatchLine
from suite.report.exhibits import Attention, Texts
from suite.report.ledger import Ledger
from suite.report.measures import Interval, Point, Speed


@dataclass(frozen=True)
class Curve:
    """One metric in one backend."""

    metric: str
    name: str
    backend: str
    order: int
    points: tuple[Point, ...]
    timed: bool
    """True if its train seconds count."""


@dataclass(frozen=True)
class Entry:
    """One task in one backend and mode, all its seeds."""

    backend: str
    mode: str
    name: str
    order: int
    """0, but 1 and up for further modes of the same backend."""
    seeds: tuple[int, ...]
    """Those that went well."""
    failures: tuple[str, ...]
    verified: bool
    explanation: str | None
    """Why it is not verified."""
    quality: Interval | None
    missed: dict[str, str] | None
    """Targets that seeds missed, in words, by metric; None where targets are not judged."""
    speed: Speed | None
    time_to_target: Interval | None
    metrics: dict[str, Interval]
    phases: dict[str, float]
    memory: dict[str, float]
    epochs: float
    """Epochs trained, and ``epoch_samples`` how many samples one has: medians over seeds."""
    epoch_samples: float
    findings: tuple[Deviation, ...]
    steps: int | None
    """How many steps were compared."""
    left_out: str | None
    """The parameters that are not compared, and why."""
    compilations: dict[str, int]


@dataclass(frozen=True)
class Section:
    """One task under one set of conditions."""

    anchor: str
    title: str
    """The task's label, and what of the conditions tells it from other sections of that label."""
    conditions: Conditions
    """Those of all entries: without a backend."""
    seeds: tuple[int, ...]
    unit: str
    metric: str
    """The main one: that of the first target."""
    targets: tuple[str, ...]
    lecture: tuple[Beside, ...]
    """Figures that a lecture prints, beside ours; ``lecture_said``: its document, why they differ.
    """
    lecture_said: dict[str, str] | None
    judged: str | None
    """Why targets are not judged; None where they are."""
    lead: str
    entries: tuple[Entry, ...]
    speeds: tuple[Speed, ...]
    interleaved: bool
    machine: dict[str, float]
    """Rates that the machine attains: ``matmul`` [operations/s], ``copy`` [bytes/s]; or nothing."""
    differing: tuple[Difference, ...]
    """Facts in the ledgers that differ between the backends."""
    warnings: tuple[str, ...]
    batches: tuple[BatchLine, ...]
    """Throughput against the size of batches; nothing where one size alone was timed."""
    machines: Machines | None
    """The same contestants on other machines, in the sessions that the report is of."""
    curves: tuple[Curve, ...]
    texts: Texts | None
    attention: Attention | None
    readings: tuple[tuple[Cell, Reading], ...]
    """The reading of each learning curve."""
    comparisons: tuple[tuple[Cell, Comparison], ...]
    """Comparisons of the others with NumPy: whether they end where it does, seed by seed."""

    @property
    def label(self) -> str:
        """The task as it is asked for: ``task`` or ``task:variant``."""
        return self.conditions.task_label

    @property
    def unequal(self) -> tuple[str, ...]:
        """Reasons to compare the speeds with care: facts that differ, or no turns."""
        facts = dict.fromkeys(fact for speed in self.speeds for fact in speed.differing)
        alone = () if self.interleaved or not self.speeds else ("not timed in turns",)
        return (*alone, *(f"not the same {fact}" for fact in facts))

    @property
    def generated(self) -> bool:
        """Tells if it was trained on a generated stand-in."""
        return self.conditions.data != "real"


@dataclass(frozen=True)
class Answer:
    """Which backend to take, in sentences: over all tasks, and by task with what a run costs."""

    headline: str
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All of it."""

    title: str
    sessions: tuple[str, ...]
    began: str
    ended: str
    answers: tuple[Answer, ...]
    """Which backend to take, for every set of conditions."""
    columns: tuple[tuple[str, str], ...]
    """Every backend and mode that there is, in the house's order."""
    sections: tuple[Section, ...]
    ledger: Ledger
