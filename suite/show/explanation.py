"""An explanation of a difference in speed: tables for people, a document for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suite.records.explanation import Explanation, Row
from suite.records.timing import MedianInterval
from suite.show.console import print_fitted, table as new_table

BAR = 24
"""Columns of the waterfall."""
TOTAL, TOGETHER, REST = "in all", "together", "not explained"


def document(explanation: Explanation) -> dict[str, Any]:
    """The document that ``explain --json`` prints; an interval has its ends by name."""

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            if len(value) == 3 and all(isinstance(end, float) for end in value):
                return dict(zip(("median", "low", "high"), value, strict=True))
            return [named(inner) for inner in value]
        return value

    found: dict[str, Any] = named(asdict(explanation))
    return found


def steps(explanation: Explanation) -> Iterator[tuple[str, MedianInterval]]:
    """The waterfall: the total, the factors that it is the product of, what is not explained."""
    yield TOTAL, explanation.total
    for row in explanation.alike:
        assert row.effect
        yield row.switch, row.effect
    if len(explanation.alike) > 1:
        yield TOGETHER, explanation.together
    yield REST, explanation.rest


def print_explanation(explanation: Explanation, console: Console) -> None:
    """The waterfall, the switches that are alike, the phases, and what could not be flipped."""
    print_fitted(_waterfall(explanation), console)
    if explanation.both:
        print_fitted(_both(explanation), console)
    if explanation.phases:
        print_fitted(_phases(explanation), console)
    for note in notes(explanation):
        console.print(escape(note), style="yellow", soft_wrap=True)


def notes(explanation: Explanation) -> list[str]:
    """Limits of what was shown, a line for each."""
    stuck = (
        f"not flipped: {row.switch} ({' / '.join(dict.fromkeys(row.values))}): {row.reason}"
        for row in explanation.stuck
    )
    unseen = [f"no phases: {explanation.unseen}"] if explanation.unseen else []
    return [*stuck, *unseen, *(f"noisy: {warning}" for warning in explanation.warnings)]


def title(explanation: Explanation) -> str:
    """The answer in a line."""
    e, cell = explanation, explanation.cell
    threads = "1 thread" if cell.threads == 1 else f"{cell.threads} threads"
    data = "" if cell.data == "real" else " · GENERATED DATA"
    return (
        f"{e.a} is {times(e.total)} times as fast as {e.b} · {e.task} · {cell.profile} · "
        f"{cell.device} · {threads}{data}"
    )


def _waterfall(explanation: Explanation) -> Table:
    e = explanation
    found = new_table(escape(title(e)))
    for heading in ("what", e.a, e.b, "made alike"):
        found.add_column(heading)
    found.add_column("factor", justify="right", no_wrap=True)
    found.add_column("", no_wrap=True)
    rows = {row.switch: row for row in e.alike}
    walked = list(steps(e))
    for (name, interval), bar in zip(walked, _bars([i[0] for _, i in walked]), strict=True):
        row = rows.get(name)
        told = [escape(t) for t in (*row.values, flipped(row, e))] if row else ["", "", ""]
        found.add_row(name, *told, times(interval), bar)
    found.caption = (
        f"medians of {e.rounds} rounds in turns; all intervals hold at once with 95%; "
        f"factors multiply to the first line, but for rounding. "
        f"{TOTAL} and {REST}: how many times as fast as {e.b} {e.a} is"
    )
    return found


def spans(factors: Sequence[float]) -> list[tuple[float, float]]:
    """Low and high end of every bar: each begins where the one above ends, the last at 1."""
    found, at = [(1.0, factors[0])], factors[0]
    for factor in factors[1:-1]:
        found.append((at / factor, at))
        at /= factor
    return [(min(ends), max(ends)) for ends in (*found, (1.0, factors[-1]))]


def _bars(factors: Sequence[float]) -> list[str]:
    """Bars on a logarithmic scale."""
    logs = [(math.log(low), math.log(high)) for low, high in spans(factors)]
    least = min(low for low, _ in logs)
    width = max(high for _, high in logs) - least or 1.0
    found = []
    for ends in logs:
        begin, end = (round((BAR - 1) * (place - least) / width) for place in ends)
        found.append(" " * begin + "█" * (end - begin or 1))
    return found


def flipped(row: Row, explanation: Explanation) -> str:
    """Says what was flipped: ``torch:eager: compiled``, or what both were flipped to."""
    own = zip((explanation.a, explanation.b), row.flipped, strict=True)
    told = [(name, value) for name, value in own if value is not None]
    values = dict.fromkeys(value for _, value in told)
    if len(told) == 2 and len(values) == 1:
        return next(iter(values))
    return ", ".join(f"{name}: {value}" for name, value in told)


def _both(explanation: Explanation) -> Table:
    e = explanation
    found = new_table("What flipping does that does not make them alike")
    for heading in ("what", "as it stands", "flipped to"):
        found.add_column(heading)
    for heading in (f"{e.a} / {e.b} then", "ratio now / then"):
        found.add_column(escape(heading), justify="right", no_wrap=True)
    for row in e.both:
        assert row.ratio
        assert row.effect
        stands = " / ".join(dict.fromkeys(row.values))
        texts = (escape(stands), escape(flipped(row, e)))
        found.add_row(row.switch, *texts, times(row.ratio), times(row.effect))
    return found


def _phases(explanation: Explanation) -> Table:
    e = explanation
    found = new_table(f"Microseconds per sample by phase ({e.unit.removesuffix('/s')})")
    found.add_column("phase")
    for heading in (e.a, e.b, "difference"):
        found.add_column(escape(heading), justify="right", no_wrap=True)
    for phase in e.phases:
        costs = (phase.a, phase.b, phase.more)
        found.add_row(phase.name, *(times(tuple(1e6 * s for s in c)) for c in costs))
    found.caption = (
        "forward: the loss alone; backward: loss and gradients, less forward; update: the whole "
        "step, less both. What a compiler fuses over their borders counts to the later one"
    )
    return found


def times(interval: Sequence[float]) -> str:
    """The median and its interval: ``1.18 [1.15, 1.21]``."""
    middle, low, high = (f"{end:.3g}" if abs(end) >= 10 else f"{end:.2f}" for end in interval)
    return f"{middle} [{low}, {high}]"
