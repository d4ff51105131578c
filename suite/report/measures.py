"""Measures of one task, by backend: quality, speed, curves, phases, memory."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from suite.records.differences import Difference
from suite.records.record import Record
from suite.records.statistics import median_interval, ratio_interval
from suite.records.timing import UNDECIDED, Contestant, Timing, verdict

PHASES = ("import", "build", "compile", "transfer", "train", "evaluate")
OTHER = "other"
POINTS = 60
"""A curve by chunks has no more points than this, or hardly more."""
BASE = "numpy"


@dataclass(frozen=True)
class Interval:
    """A median with a low and a high end: lowest and highest of the seeds, or a 95% interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """Where a curve is after ``epoch`` epochs and ``seconds`` of train."""

    epoch: float
    seconds: float
    value: Interval


@dataclass(frozen=True)
class Speed:
    """How fast one backend trains; ``ratio`` is to NumPy and None where there is no such base.

    ``of_fastest`` is the ratio to the fastest of those that are compared, 1 for itself.
    ``efficiency`` is the fraction of the machine's rate of matrix products, None where that was not
    measured; ``differing`` what in the ledgers is another for it than for NumPy; ``verdict`` what
    the ratio's interval says: faster, slower, undecided (they cannot be told apart), or base.
    """

    backend: str
    mode: str
    rate: Interval
    ratio: Interval | None
    of_fastest: Interval
    efficiency: Interval | None = None
    differing: tuple[str, ...] = ()
    verdict: str | None = None

    @property
    def undecided(self) -> bool:
        """Tells if it and NumPy cannot be told apart."""
        return self.verdict == UNDECIDED

    @property
    def near(self) -> bool:
        """Tells if it is the fastest or cannot be told apart from it."""
        return self.of_fastest.high >= 1


def fastest(speeds: Sequence[Speed]) -> Speed:
    """The fastest of those that are compared, at least one."""
    return next(s for s in speeds if s.of_fastest == Interval(1, 1, 1))


def over_seeds(values: Sequence[float]) -> Interval:
    """Median, lowest and highest."""
    return Interval(statistics.median(values), min(values), max(values))


def by_epoch(records: Sequence[Record], metric: str) -> tuple[Point, ...]:
    """A metric's curve over the seeds that have it, epoch by epoch."""
    found: dict[int, list[tuple[float, float]]] = {}
    for record in records:
        for epoch in record.epochs:
            if metric in epoch["metrics"]:
                pair = (epoch["train_seconds"], epoch["metrics"][metric])
                found.setdefault(epoch["epoch"], []).append(pair)
    return tuple(
        Point(epoch, statistics.median(s for s, _ in pairs), over_seeds([v for _, v in pairs]))
        for epoch, pairs in sorted(found.items())
    )


def by_chunk(records: Sequence[Record]) -> tuple[Point, ...]:
    """The training loss over the seeds, averaged over as many chunks as make ``POINTS`` points."""
    curves = [_chunk_means(record) for record in records if record.chunks]
    return tuple(
        Point(
            at[0][0],
            statistics.median(seconds for _, seconds, _ in at),
            over_seeds([loss for _, _, loss in at]),
        )
        for at in zip(*curves, strict=False)
    )


def _chunk_means(record: Record) -> list[tuple[float, float, float]]:
    """(epochs until then, train seconds until then, mean loss) of groups of chunks."""
    epochs = [chunk["epoch"] for chunk in record.chunks]
    places, within = [], 0
    for before, epoch in zip([0, *epochs], epochs, strict=False):
        within = within + 1 if epoch == before else 1
        places.append(epoch - 1 + within / epochs.count(epoch))
    elapsed = list(accumulate(chunk["seconds"] for chunk in record.chunks))
    size = -(-len(record.chunks) // POINTS)
    found = []
    for start in range(0, len(record.chunks), size):
        part = record.chunks[start : start + size]
        last = start + len(part) - 1
        loss = statistics.fmean(loss for chunk in part for loss in chunk["losses"])
        found.append((places[last], elapsed[last], loss))
    return found


def phases(records: Sequence[Record]) -> dict[str, float]:
    """Seconds by phase, medians over the seeds, with all that is not in ``PHASES`` as "other"."""
    found = {
        name: statistics.median(record.phases.get(name, 0.0) for record in records)
        for name in PHASES
    }
    rest = [sum(s for name, s in r.phases.items() if name not in PHASES) for r in records]
    return {**found, OTHER: statistics.median(rest)}


def epochs(records: Sequence[Record]) -> dict[str, float]:
    """How many ``epochs`` were trained, and ``epoch_samples``: medians over the seeds."""
    trained = [(len(r.epochs), sum(chunk["samples"] for chunk in r.chunks)) for r in records]
    trained = [(count, samples) for count, samples in trained if count]
    if not trained:
        return {"epochs": 0.0, "epoch_samples": 0.0}
    return {
        "epochs": statistics.median(count for count, _ in trained),
        "epoch_samples": statistics.median(samples / count for count, samples in trained),
    }


def memory(records: Sequence[Record]) -> dict[str, float]:
    """Bytes after the import and at the peak, medians over the seeds that know both."""
    known = [r.memory for r in records if {"after_import", "peak"} <= r.memory.keys()]
    if not known:
        return {}
    return {name: statistics.median(m[name] for m in known) for name in ("after_import", "peak")}


def speeds_in_turns(timing: Timing, trusted: Mapping[tuple[str, str], bool]) -> tuple[Speed, ...]:
    """Speeds of those who took turns, ratios round by round.

    ``trusted`` says of (backend, mode) whether it was verified in the records too; one that was
    not, here or there, has no speed.
    """
    there = [
        c
        for c in timing.contestants
        if c.verified and c.first and trusted.get((c.backend, c.mode)) and c.seconds
    ]
    base = next((c for c in there if c.backend == BASE), None)
    yardstick = (base or there[0]).name if there else ""
    fastest = max((c.name for c in there), key=lambda n: timing.ratio(n, yardstick)[0], default="")

    def speed(one: Contestant) -> Speed:
        ratio = timing.ratio(one.name, base.name) if base else None
        return Speed(
            one.backend,
            one.mode,
            Interval(*timing.throughput(one.name)),
            Interval(*ratio) if ratio else None,
            Interval(*timing.ratio(one.name, fastest)),
            Interval(*efficiency) if (efficiency := timing.efficiency(one.name)) else None,
            verdict="base" if one is base else ratio and verdict(ratio),
        )

    return tuple(map(speed, there))


def marked(speeds: Sequence[Speed], differing: Sequence[Difference]) -> tuple[Speed, ...]:
    """Speeds with what differs from NumPy's ledger."""
    names = {speed: f"{speed.backend}:{speed.mode}" for speed in speeds}
    base = next((name for speed, name in names.items() if speed.backend == BASE), "")
    return tuple(
        replace(speed, differing=tuple(d.fact for d in differing if d.parts(name, base)))
        for speed, name in names.items()
    )


def speeds_of_chunks(groups: Mapping[tuple[str, str], Sequence[Record]]) -> tuple[Speed, ...]:
    """Speeds by backend and mode from the chunks of records that are verified, seeds pooled."""
    rates = {
        key: [rate for record in records for rate in record.rates]
        for key, records in groups.items()
        if all(record.verified for record in records)
    }
    rates = {key: found for key, found in rates.items() if found}
    base = next((found for (backend, _), found in rates.items() if backend == BASE), [])
    fastest = max(rates.values(), key=statistics.median, default=[])

    def against(found: Sequence[float], other: Sequence[float]) -> Interval:
        return Interval(*((1, 1, 1) if found is other else ratio_interval(found, other)))

    def speed(key: tuple[str, str], found: Sequence[float]) -> Speed:
        ratio = against(found, base) if base else None
        said = verdict((ratio.median, ratio.low, ratio.high)) if ratio else None
        return Speed(
            *key,
            Interval(*median_interval(found)),
            ratio,
            against(found, fastest),
            verdict="base" if found is base else said,
        )

    return tuple(speed(key, found) for key, found in rates.items())
