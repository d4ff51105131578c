"""An explanation of why one contestant is faster than another: ``tetragrad explain``."""

from __future__ import annotations

from dataclasses import dataclass

from suite.records.cell import Cell
from suite.records.timing import MedianInterval

PHASES = ("forward", "backward", "update")


@dataclass(frozen=True)
class Row:
    """A switch: how A and B stand, what was flipped, and what came of it."""

    switch: str
    values: tuple[str, str]
    """The value in A and the value in B."""
    flipped: tuple[str | None, str | None] = (None, None)
    """The value that each was flipped to; None for a side that stayed as it is."""
    ratio: MedianInterval | None = None
    """How many times as fast as B A then is; None where nothing could be flipped."""
    effect: MedianInterval | None = None
    """By what factor that is less: how much of A's advantage the switch stands for."""
    reason: str = ""
    """Why nothing was flipped, or not on every side."""


@dataclass(frozen=True)
class Phase:
    """A part of a step: seconds per sample in A, in B, and how many more B takes."""

    name: str
    a: MedianInterval
    b: MedianInterval
    more: MedianInterval


@dataclass(frozen=True)
class Explanation:
    """The answer to why A is faster than B, all intervals at once at 95%."""

    task: str
    a: str
    b: str
    cell: Cell
    """A's."""
    unit: str
    rounds: int
    confidence: float
    """Confidence of each interval."""
    total: MedianInterval
    """How many times as fast as B A is."""
    alike: tuple[Row, ...]
    """Facts that differ, each made alike alone."""
    together: MedianInterval
    """By what factor their effects together are more than the product of those alone."""
    rest: MedianInterval
    """How many times as fast A is once all of them are alike."""
    both: tuple[Row, ...]
    """Switches that cannot make the two alike, flipped wherever they can be."""
    stuck: tuple[Row, ...]
    """Facts that could not be flipped."""
    phases: tuple[Phase, ...] = ()
    unseen: str = ""
    """Why there are no phases."""
    warnings: tuple[str, ...] = ()
