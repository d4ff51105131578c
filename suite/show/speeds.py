"""Speeds of a timing as people and programs read them: cells of a table, a JSON document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from suite.records import differences
from suite.records.differences import Difference
from suite.records.record import Record
from suite.records.timing import UNDECIDED, Contestant, MedianInterval, Timing
from suite.show.console import table as new_table, yes_or_no

MARK, ALIKE = "*", "~"
"""Behind a ratio of two whose ledgers differ; before one of two that cannot be told apart."""
INTERVAL = "95% interval"
DENORMALS = "denormals: numbers next to 0, with which many processors compute slowly"


def document(timing: Timing, found: Sequence[Record]) -> dict[str, Any]:
    """Rates and ratios by contestant, each with the interval of that ``confidence``.

    No ratio and no ``verdict`` (faster, slower, undecided, base) where one is not verified.
    """
    verified = {c.name for c in timing.contestants if c.verified}
    differing = differences.differences(found)

    def interval(found: MedianInterval | None) -> dict[str, float] | None:
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
        "confidence": 0.95,
        "contestants": {
            c.name: {
                "verified": c.verified,
                "throughput": interval(timing.throughput(c.name)),
                "ratio": interval(
                    timing.ratio(c.name, timing.base) if {c.name, timing.base} <= verified else None
                ),
                "verdict": timing.verdict(c.name) if {c.name, timing.base} <= verified else None,
                "efficiency": interval(timing.efficiency(c.name) if c.verified else None),
                "differing": [d.fact for d in differing if d.parts(c.name, timing.base)],
            }
            for c in timing.contestants
        },
    }


def table(title: str, timing: Timing, differing: Sequence[Difference]) -> Table:
    """Each number beside its interval, contestants in the order of the timing."""
    found = new_table(escape(title))
    found.add_column("backend", no_wrap=True)
    for column in (timing.unit, INTERVAL, _heading(timing), INTERVAL, "of matmul peak"):
        found.add_column(column, justify="right")
    found.add_column("same model", justify="right")
    said = [
        f"medians of {len(timing.samples)} rounds, in which backends took turns, after "
        f"{timing.warm_up_rounds} to warm up",
        "the base's second interval is that of its own rate",
    ]
    if "matmul" in timing.machine:
        said.append(
            f"of matmul peak: share of the {timing.machine['matmul'] / 1e9:.0f} GFLOP/s that "
            "matrix products attain here"
        )
    found.caption = "; ".join(said)
    for one in timing.contestants:
        found.add_row(*_row(one, timing, differing))
    return found


def notes(timing: Timing, differing: Sequence[Difference]) -> list[str]:
    """Cautions about a table's numbers, a line for each."""
    verified = [c.name for c in timing.contestants if c.verified]
    rivals = [n for n in verified if n != timing.base] if timing.base in verified else []
    return [
        *(alike for name in rivals if (alike := _alike(name, timing))),
        *(f"{MARK} not the same for all, so compare with care: {one}" for one in differing),
        *(DENORMALS for one in differing if one.fact == "denormals"),
        *(noisy for name in rivals if (noisy := _disturbed(name, timing))),
        *(f"noisy: {warning}" for warning in timing.warnings),
    ]


def _alike(name: str, timing: Timing) -> str | None:
    """A line if a contestant and the base cannot be told apart."""
    if timing.verdict(name) != UNDECIDED:
        return None
    ends = _ends(timing.ratio(name, timing.base), _times)
    return (
        f"{ALIKE} {name} and {timing.base} cannot be told apart: the {INTERVAL} of the ratio of "
        f"their speeds, {ends}, contains 1"
    )


def _disturbed(name: str, timing: Timing) -> str | None:
    """A line if the rates say other than the ratio does: medians of both need not agree."""
    rates = timing.throughput(name)[0] / timing.throughput(timing.base)[0]
    middle, low, high = timing.ratio(name, timing.base)
    if low <= rates <= high:
        return None
    return (
        f"noisy: the rates of {name} and {timing.base} are {_times(rates)} to 1, but within the "
        f"rounds their ratio is {_times(middle)}: the machine's drift is in the rates, so the "
        "ratio counts"
    )


def _heading(timing: Timing) -> str:
    """The heading of the column of ratios."""
    if timing.contestant(timing.base).backend == "numpy":
        return "x NumPy"
    return f"x {timing.base}"


def _row(one: Contestant, timing: Timing, differing: Sequence[Difference]) -> list[str | Text]:
    """A contestant's cells: no ratio and no efficiency where it, or the base, is not verified."""
    name, verified, base = one.name, one.verified, timing.base
    rate = timing.throughput(name)
    shown: list[str | Text] = [name, _rate(rate[0]) + ("" if verified else "?"), _ends(rate, _rate)]
    if not (verified and timing.contestant(base).verified):
        shown += ["-", "-"]
    elif name == base:
        shown += ["1", _ends(timing.spread(name), _times)]
    else:
        ratio = timing.ratio(name, base)
        alike = ALIKE if timing.verdict(name) == UNDECIDED else ""
        mark = MARK if any(d.parts(name, base) for d in differing) else ""
        shown += [f"{alike}{_times(ratio[0])}{mark}", _ends(ratio, _times)]
    efficiency = timing.efficiency(name) if verified else None
    return [*shown, _percent(efficiency[0]) if efficiency else "-", yes_or_no(verified)]


def _ends(interval: MedianInterval, form: Callable[[float], str]) -> str:
    """``94.1k-96.0k``: one word, which no narrow column breaks."""
    return f"{form(interval[1])}-{form(interval[2])}"


def _rate(value: float) -> str:
    """``950``, ``77.2k``, ``592k``, ``1.24M``."""
    if value >= 999_500:
        return f"{value / 1e6:,.2f}M"
    if value >= 999.5:
        return f"{value / 1e3:,.{0 if value >= 99_950 else 1}f}k"
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def _times(value: float) -> str:
    """``1.287``, ``12.87``, ``128.7``."""
    return f"{value:.{3 if value < 9.9995 else 2 if value < 99.995 else 1}f}"


def _percent(fraction: float) -> str:
    """``0.3%``, ``12%``."""
    return f"{fraction:.{0 if fraction >= 0.0995 else 1}%}"
