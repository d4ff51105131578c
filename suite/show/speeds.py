"""Speeds of a timing as people and programs read them: cells of a table, a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from suite.records import differences, timing as timings
from suite.records.differences import Difference
from suite.records.record import Record
from suite.records.timing import Timing

MARK = "*"
"""Behind a ratio of two whose ledgers differ."""


def document(timing: Timing, found: Sequence[Record]) -> dict[str, Any]:
    """Rates and ratios by contestant; no ratio where one of the two is not verified."""
    verified = {c.name for c in timing.contestants if c.verified}
    differing = differences.differences(found)

    def interval(found: timings.MedianInterval | None) -> dict[str, float] | None:
        return dict(zip(("median", "low", "high"), found, strict=True)) if found else None

    return {
        "unit": timing.unit,
        "rounds": len(timing.samples),
        "stopped": timing.stopped,
        "warnings": list(timing.warnings),
        "batch_scale": timing.conditions.batch_scale,
        "differing": [asdict(difference) for difference in differing],
        "machine": timing.machine,
        "base": timing.base,
        "contestants": {
            c.name: {
                "verified": c.verified,
                "throughput": interval(timing.throughput(c.name)),
                "ratio": interval(
                    timing.ratio(c.name, timing.base) if {c.name, timing.base} <= verified else None
                ),
                "efficiency": interval(timing.efficiency(c.name) if c.verified else None),
                "differing": [d.fact for d in differing if d.parts(c.name, timing.base)],
            }
            for c in timing.contestants
        },
    }


def heading(timing: Timing | None) -> str:
    """The heading of the column of ratios."""
    if timing is None or timing.contestant(timing.base).backend == "numpy":
        return "x NumPy"
    return f"x {timing.base}"


def caution(difference: Difference) -> str:
    """Explains ``MARK`` by the difference that it stands for."""
    return f"{MARK} not the same for all, so compare with care: {difference}"


def mark(label: str, timing: Timing, differing: Sequence[Difference]) -> str:
    """The mark behind a ratio: ``MARK`` where a fact differs from the base's, or nothing."""
    return MARK if any(d.parts(label, timing.base) for d in differing) else ""


def speed(label: str, timing: Timing | None, verified: bool) -> tuple[str, str, str]:
    """Rate, its error, and the ratio to the base's: none where one of them is not verified."""
    if timing is None or label not in {c.name for c in timing.contestants}:
        return "-", "-", "-"
    rate, error = _middle_and_error(timing.throughput(label))
    speed = f"{rate / 1000:,.{0 if rate >= 99_950 else 1}f}k{'' if verified else '?'}"
    base = timing.contestant(timing.base)
    if not (verified and base.verified):
        return speed, f"±{_percent(error)}", "-"
    ratio, ratio_error = _middle_and_error(timing.ratio(label, base.name))
    alone = label == base.name
    return speed, f"±{_percent(error)}", "1" if alone else f"{ratio:.2f} ±{ratio * ratio_error:.2f}"


def efficiency(label: str, timing: Timing | None, verified: bool) -> str:
    """The fraction of the attainable rate; none where it was not measured."""
    known = timing and verified and label in {c.name for c in timing.contestants}
    found = timing.efficiency(label) if timing and known else None
    return _percent(found[0]) if found else "-"


def _percent(fraction: float) -> str:
    """``0.3%``, ``12%``: the columns have room for four characters."""
    return f"{fraction:.{0 if fraction >= 0.0995 else 1}%}"


def _middle_and_error(interval: timings.MedianInterval) -> tuple[float, float]:
    """The median and the longer arm of the interval, relative to it."""
    middle, low, high = interval
    return middle, max(high - middle, middle - low) / middle
