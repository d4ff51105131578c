"""Sentences on how cells went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from suite.records.differences import Difference
from suite.records.events import Outcome
from suite.records.record import Record
from suite.report import measures, words
from suite.report.document import Entry
from suite.report.measures import Speed

STEADY = 1.25
"""Seeds whose speeds are further apart than this factor were not measured alike."""


def failures(records: Sequence[Record]) -> tuple[str, ...]:
    """Every way in which cells did not go well, with the seeds it took."""
    found: dict[tuple[str, str | None], list[int]] = {}
    for record in records:
        if record.outcome is not Outcome.OK:
            found.setdefault((record.outcome, record.reason), []).append(record.cell.seed)
    return tuple(
        f"{outcome} (seed {words.ranges(seeds)})" + (f": {reason}" if reason else "")
        for (outcome, reason), seeds in found.items()
    )


def uneven(entries: Sequence[Entry]) -> list[str]:
    """A warning if backends do not have the same seeds."""
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for entry in entries:
        if entry.seeds:
            by_seeds.setdefault(tuple(sorted(entry.seeds)), []).append(entry.name)
    if len(by_seeds) < 2:
        return []
    have = (f"{words.listed(names)} {words.ranges(seeds)}" for seeds, names in by_seeds.items())
    return [f"Not the same seeds in all backends, so compare with care: {'; '.join(have)}."]


def differing(found: Sequence[Difference]) -> list[str]:
    """A warning of each fact on which speed depends and that is not the same for all."""
    return [f"Not the same for all, so compare speeds with care: {one}." for one in found]


def unsteady(good: Sequence[Record]) -> list[str]:
    """A warning if a backend's speed changed between seeds by more than backends often differ."""
    speeds: dict[str, list[float]] = {}
    for record in good:
        if record.verified and record.chunks:
            median = record.training_throughput["median"]
            name = words.name(record.cell.backend, record.cell.mode)
            speeds.setdefault(name, []).append(median)
    factors = {name: max(found) / min(found) for name, found in speeds.items()}
    drifted = [f"{name} {f:.1f}-fold" for name, f in factors.items() if f > STEADY]
    if not drifted:
        return []
    return [
        f"Speeds are not steady from seed to seed: {', '.join(drifted)}. The machine was not alone "
        "or not even, so ratios that are not interleaved say little."
    ]


def missed(good: Sequence[Record]) -> dict[str, str] | None:
    """Targets that seeds missed, in words, by metric; None where targets are not judged."""
    if not good or not good[0].targets or not_judged(good[0]):
        return None
    found: dict[str, list[str]] = {}
    for record in good:
        for one in record.missed_targets:
            value = words.figure(record.metrics[one["metric"]])
            found.setdefault(one["metric"], []).append(f"{value} (seed {record.cell.seed})")
    wanted = {one["metric"]: target(one) for one in good[0].targets}
    return {name: f"{wanted[name]} is missed: {', '.join(those)}" for name, those in found.items()}


def not_judged(record: Record) -> str | None:
    """Why targets say nothing here; None where they do."""
    if not record.judged:
        return "targets are not judged on generated data"
    if record.cell.profile != "full":
        return f"targets hold for the full profile, not for {record.cell.profile}"
    return None


def target(target: Mapping[str, Any]) -> str:
    """``test_accuracy ≥ 0.85``."""
    low, high = target["low"], target["high"]
    if low is not None and high is not None:
        return f"{target['metric']} in [{low:g}, {high:g}]"
    return f"{target['metric']} {'≥' if high is None else '≤'} {low if high is None else high:g}"


def lead(
    entries: Sequence[Entry], metric: str, speeds: Sequence[Speed], interleaved: bool, data: str
) -> str:
    """Summary of a task's results, in two or three sentences."""
    said = [_said_of_models(entries)]
    known = [(e.quality.median, e.name) for e in entries if e.quality]
    if known:
        (low, lowest), (high, highest) = min(known), max(known)
        alike = words.figure(low) == words.figure(high)
        between = f"from {words.figure(low)} ({lowest}) to {words.figure(high)} ({highest})"
        said.append(f"Median {metric}: {words.figure(low) if alike else between}.")
    said += said_of_speed(speeds, interleaved)
    if data != "real":
        said.append("The data are GENERATED: quality says nothing of the real data set.")
    return " ".join(said)


def said_of_speed(speeds: Sequence[Speed], interleaved: bool) -> list[str]:
    """Who was fastest; only where the intervals tell them apart."""

    def name(speed: Speed) -> str:
        return words.name(speed.backend, speed.mode, [(t.backend, t.mode) for t in speeds])

    if len(speeds) < 2:
        return []
    first = measures.fastest(speeds)
    near = [s for s in speeds if s.near]
    names = words.listed(map(name, near))
    if len(near) == len(speeds):
        return ["None was clearly faster than the others."]
    alike = [f"{name(s)} and NumPy cannot be told apart by speed." for s in speeds if s.undecided]
    if len(near) > 1:
        return [f"Fastest: {names}, which cannot be told apart.", *alike]
    times = f", {words.ratio(first.ratio.median)} times as fast as NumPy" if first.ratio else ""
    how = "" if interleaved else " (not interleaved)"
    fastest = f"{names} trained fastest{'' if first.backend == measures.BASE else times}{how}."
    return [fastest, *alike]


def _said_of_models(entries: Sequence[Entry]) -> str:
    same = [e.name for e in entries if e.verified]
    ran = [e for e in entries if e.seeds]
    parted = [e.name for e in ran if not e.verified]
    failed = [e.name for e in entries if not e.seeds]
    said = []
    if same:
        said.append(f"Verified as the same model: {words.listed(same)}.")
    if parted:
        said.append(f"NOT verified, so without a speed: {words.listed(parted)}.")
    if failed:
        said.append(f"Without a result: {words.listed(failed)}.")
    return " ".join(said)
