"""Throughput against the size of batches, of those backends that were timed at several."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from suite.records.timing import Timing
from suite.report.measures import Interval


@dataclass(frozen=True)
class AtBatch:
    """The throughput with batches of ``batch`` samples, ``scale`` times as many as the task has."""

    batch: int
    scale: int
    rate: Interval


@dataclass(frozen=True)
class BatchLine:
    """Throughput of one backend, the smallest batches first."""

    backend: str
    mode: str
    points: tuple[AtBatch, ...]


def batch_lines(
    timings: Sequence[Timing], parted: Collection[tuple[str, str]]
) -> tuple[BatchLine, ...]:
    """A line for every verified contestant of ``timings``, which have equal conditions otherwise.

    Of two of the same backend at the same batch the later one counts. ``parted`` are those
    (backend, mode) that the records have as another model. Nothing, unless there are two sizes.
    """
    own = next((t.batch // t.conditions.batch_scale for t in timings if t.batch), None)
    if own is None:
        return ()
    found: dict[tuple[str, str], dict[int, AtBatch]] = {}
    for timing in timings:
        scale = timing.conditions.batch_scale
        for one in timing.contestants:
            key = one.backend, one.mode
            if one.verified and one.first and one.seconds and key not in parted:
                rate = Interval(*timing.throughput(one.name))
                found.setdefault(key, {})[scale] = AtBatch(own * scale, scale, rate)
    if len({scale for points in found.values() for scale in points}) < 2:
        return ()
    return tuple(
        BatchLine(*key, tuple(points[scale] for scale in sorted(points)))
        for key, points in found.items()
    )


def sizes(lines: Sequence[BatchLine]) -> list[int]:
    """Every size of batches that someone was timed with."""
    return sorted({point.batch for line in lines for point in line.points})
