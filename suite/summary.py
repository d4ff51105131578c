"""What a session came to: the comparison table for people, the JSON document for programs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suite import records
from suite.console import table as new_table
from suite.equivalence import verdict_from
from suite.records import Record
from suite.runner import Session

JSON_PHASES = ("import", "build", "compile", "transfer", "train", "evaluate")


def document(session: Session) -> dict[str, Any]:
    """The session as ``run --json`` prints it."""
    return {"session": session.id, "cells": [_cell(session, r) for r in session.records]}


def _cell(session: Session, record: Record) -> dict[str, Any]:
    return {
        **asdict(record.cell),
        "outcome": record.outcome,
        "reason": record.reason,
        "verified": record.verified,
        "metrics": record.metrics,
        "time_to_target": record.time_to_target,
        "throughput": record.throughput,
        "phases": {name: record.phases.get(name) for name in JSON_PHASES},
        "record": str(records.path_of(session.results, record)),
        "mlflow_run": session.mlflow_runs.get(record.cell.label),
    }


def print_tables(session: Session, console: Console) -> None:
    """A comparison table for every task of the session, seeds taken together."""
    for task in dict.fromkeys(r.cell.task_label for r in session.records):
        found = [r for r in session.records if r.cell.task_label == task]
        console.print(_table(found))
        for record in found:
            for miss in record.missed:
                text = f"{record.cell.label} misses its target: {miss}"
                console.print(escape(text), style="red", soft_wrap=True)
            if record.outcome != "ok":
                text = f"{record.cell.label} {record.outcome}: {record.reason}"
                console.print(escape(text), style="yellow", soft_wrap=True)
        _print_unverified(found, console)


def _print_unverified(found: Sequence[Record], console: Console) -> None:
    for record in {r.cell.backend: r for r in found if r.outcome == "ok"}.values():
        if not record.verified and record.equivalence:
            why = verdict_from(record.equivalence).explanation
            text = f"{record.cell.backend} is NOT VERIFIED, its speed does not count: {why}"
            console.print(escape(text), style="red", soft_wrap=True)


def _table(found: Sequence[Record]) -> Table:
    cell = found[0].cell
    data = "real data" if cell.data == "real" else "GENERATED DATA, not the real data set"
    threads = "1 thread" if cell.threads == 1 else f"{cell.threads} threads"
    count = len({r.cell.seed for r in found})
    seeds = f"seed {cell.seed}" if count == 1 else f"{count} seeds"
    title = f"{cell.task_label} · {cell.profile} · {cell.device} · {threads} · {seeds} · {data}"
    table = new_table(title)
    metrics = next((r.metrics for r in found if r.metrics), {})
    names = [name for name in metrics if not name.endswith("_ci95")]  # there is no room for more
    table.add_column("backend", no_wrap=True)
    headings = (*(name.replace("_", " ") for name in names), "s to target")
    for heading in (*headings, found[0].unit.replace("/", " /"), "95%", "x NumPy"):
        table.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    table.add_column("same model", justify="right")
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in found:
        groups.setdefault((record.cell.backend, record.cell.mode), []).append(record)
    base = _speed([r for r in found if r.cell.backend == "numpy" and r.verified])
    for (backend, mode), group in groups.items():
        table.add_row(f"{backend}:{mode}", *_row(group, names, base))
    return table


def _row(group: Sequence[Record], names: Sequence[str], base: float | None) -> list[str]:
    good = [r for r in group if r.outcome == "ok"]
    if not good:
        outcomes = ", ".join(dict.fromkeys(r.outcome for r in group))
        return [*["-"] * (len(names) + 4), outcomes]
    pooled = Record(**{**vars(good[0]), "chunks": [c for r in good for c in r.chunks]})
    speed, verified = pooled.throughput, all(r.verified for r in good)
    ratio = "-" if base is None or not verified else f"{speed['median'] / base:.2f}"
    mark = "" if verified else " ?"
    reached = [r.time_to_target for r in good if r.time_to_target is not None]
    return [
        *(_spread([r.metrics[name] for r in good], 4) for name in names),
        _spread(reached, 2) if len(reached) == len(good) else "-",
        f"{speed['median'] / 1000:,.1f}k{mark}",
        f"±{_half_width(speed):.1%}",
        ratio,
        "yes" if verified else "NO",
    ]


def _half_width(speed: Mapping[str, float]) -> float:
    """The longer arm of the interval, relative to the median."""
    longer = max(speed["high"] - speed["median"], speed["median"] - speed["low"])
    return longer / speed["median"]


def _speed(found: Sequence[Record]) -> float | None:
    rates = [rate for r in found if r.outcome == "ok" for rate in r.rates]
    return statistics.median(rates) if rates else None


def _spread(values: Sequence[float], digits: int) -> str:
    """The mean, with the standard deviation where there are several values."""
    text = f"{statistics.fmean(values):.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {statistics.stdev(values):.{digits}f}"
