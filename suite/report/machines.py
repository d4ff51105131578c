"""Machines compared, in words and tables: ratios within each, their spread, and which one to take.

For the report, whose blocks are timings, and the history, whose blocks are sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from suite.records.machines import Block, Estimate, Machines, compare, facts_of, names_of
from suite.records.record import Record
from suite.records.timing import Timing
from suite.report import words


def of_timings(
    timings: Sequence[Timing],
    records: Sequence[Record],
    trusted: Mapping[tuple[str, str], bool],
) -> Machines | None:
    """The contestants of timings of equal conditions on several machines; None if on one alone.

    A timing of before it kept its machine has that of its session's ``records``, or is left out.
    ``trusted`` says of (backend, mode) whether it is verified.
    """
    hosts = {record.session: record.machine for record in records}
    known = [(t, facts_of(t.host or hosts.get(t.session, {}))) for t in timings if t.samples]
    known = [(timing, facts) for timing, facts in known if facts]
    blocks = [
        Block(machine, _rates(timing, trusted))
        for (timing, _), machine in zip(known, names_of([f for _, f in known]), strict=True)
    ]
    return compare([block for block in blocks if block.rates], "numpy:eager")


def _rates(timing: Timing, trusted: Mapping[tuple[str, str], bool]) -> dict[str, list[float]]:
    return {
        c.name: [n / s for n, s in zip(timing.samples, c.seconds, strict=True)]
        for c in timing.contestants
        if c.verified and c.first and trusted.get((c.backend, c.mode))
    }


def warnings(found: Machines | None) -> list[str]:
    """A warning if there is no contestant that is among the fastest on every machine."""
    if not (found and found.winner_depends):
        return []
    won = (f"{words.listed(map(title, found.winners(m)))} on {m}" for m in found.machines)
    return [f"The fastest depends on the machine: {'; '.join(won)}."]


def answer(found: Machines, unit: str) -> str:
    """Which machine to take for the task, in one or two sentences."""
    fastest = {m: max(found.of(m), key=lambda e: e.rate.median) for m in found.machines}
    first, second = (fastest[machine] for machine in found.machines[:2])
    rates = (
        f"{title(e.name)} trains {words.rate(e.rate.median)} {unit} on {e.machine}"
        for e in (first, second)
    )
    if not first.rate.above(second.rate):
        return f"No machine is clearly faster at this: {words.listed(rates)}."
    times = words.ratio(first.rate.median / second.rate.median)
    return (
        f"For this take {first.machine}: {title(first.name)} trains "
        f"{words.rate(first.rate.median)} {unit} there, {times} times as many as "
        f"{'it' if first.name == second.name else title(second.name)} does on {second.machine}, "
        "the next. (Machines took no turns with each other: how busy each was is in this.)"
    )


def table(found: Machines, unit: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: a contestant's rate and ratio on each machine, then over machines."""
    base = title(found.base)
    headings = ["backend"]
    for machine in found.machines:
        headings += [f"{unit} on {machine}", f"times {base}"]
    rows = []
    for name in found.names:
        row = [title(name)]
        for machine in found.machines:
            entry = found.entry(machine, name)
            row += [_rate(entry.rate), _ratio(entry.ratio)] if entry else [words.NOTHING] * 2
        rows.append([*row, _ratio(found.across(name)), f"{found.spread(name):.2f}"])
    return [*headings, f"times {base} over machines", "spread"], rows


def notes(found: Machines, unit: str) -> Iterator[str]:
    """Sentences below the table: the answer, and how the figures are to be read."""
    yield answer(found, unit)
    yield from warnings(found)
    yield (
        "Ratios are formed on each machine beside each other, with 95% intervals; over machines, "
        "each counts once. Spread: by what factor a ratio differs between machines."
    )


def document(found: Machines | None, unit: str) -> dict[str, Any] | None:
    """All of it for JSON."""
    if found is None:
        return None
    return {
        "base": found.base,
        "machines": [
            {
                "machine": machine,
                "fastest": list(found.winners(machine)),
                "contestants": {
                    e.name: {"rate": vars(e.rate), "ratio": vars(e.ratio), "blocks": e.blocks}
                    for e in found.of(machine)
                },
            }
            for machine in found.machines
        ],
        "over_machines": {
            name: {"ratio": vars(found.across(name)), "spread": found.spread(name)}
            for name in found.names
        },
        "fastest_depends_on_the_machine": found.winner_depends,
        "answer": answer(found, unit),
    }


def title(name: str) -> str:
    """A contestant's name in a text: the backend, with its mode unless that is the default."""
    backend, _, mode = name.partition(":")
    return words.name(backend, mode)


def _rate(found: Estimate) -> str:
    return _with_ends(words.rate, found)


def _ratio(found: Estimate) -> str:
    return _with_ends(words.ratio, found)


def _with_ends(shown: Any, found: Estimate) -> str:
    if found.low is None or found.low == found.high:
        return str(shown(found.median))
    return f"{shown(found.median)} [{shown(found.low)}, {shown(found.high)}]"
