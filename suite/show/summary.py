"""Results of a session: the comparison table for people, the JSON document for programs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from suite.records import differences, lecture, record as records
from suite.records.cell import computed, where
from suite.records.convergence import Comparison, compare, spread
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.timing import Timing
from suite.records.verdict import verdict_from
from suite.session.plan import failed
from suite.session.runner import Session
from suite.show import cards as card_line, speeds
from suite.show.console import print_fitted, say, table as new_table, yes_or_no

ASKED_FOR = "; it was asked for by name, so this counts as a failure"
JSON_PHASES = ("import", "build", "compile", "transfer", "train", "evaluate")


def document(session: Session) -> dict[str, Any]:
    """The session as ``run --json`` prints it."""
    return {
        "session": session.id,
        "cells": [_cell(session, r) for r in session.records],
        "timings": {
            label: speeds.document(timing, _timed(session, timing.label))
            for label, timing in session.timings.items()
        },
        "comparisons": [
            {
                "task": record.cell.task,
                "variant": record.cell.variant,
                "backend": record.cell.backend,
                "mode": record.cell.mode,
                "metric": record.targets[0]["metric"],
                "margin": record.margin,
                **asdict(comparison),
            }
            for found in _by_task(session.records)
            for record, comparison in comparisons(found)
        ],
    }


def _timed(session: Session, label: str) -> list[Record]:
    """The records of a task that went well."""
    return [r for r in session.records if r.cell.task_label == label and r.outcome is Outcome.OK]


def _cell(session: Session, record: Record) -> dict[str, Any]:
    return {
        **asdict(record.cell),
        "outcome": record.outcome,
        "reason": record.reason,
        "verified": record.verified,
        "metrics": record.metrics,
        "time_to_target": record.time_to_target,
        "epochs_to_target": record.epochs_to_target,
        "reading": asdict(record.reading) if record.reading else None,
        "stopped": record.stopped,
        "throughput": record.throughput,
        "training_throughput": record.training_throughput,
        "phases": {name: record.phases.get(name) for name in JSON_PHASES},
        "record": str(records.path_of(session.results, record)),
        "mlflow_run": session.mlflow_runs.get(record.cell.label),
    }


def print_tables(session: Session, console: Console) -> None:
    """Two tables for every task of the session, of quality and of speed, seeds taken together."""
    for found in _by_task(session.records):
        print_fitted(_table(found), console)
        if timing := _trusted(session.timings.get(found[0].cell.task_label), found):
            differing = differences.differences([r for r in found if r.outcome is Outcome.OK])
            title = f"speed in {found[0].cell.task_label}"
            print_fitted(speeds.table(title, timing, differing), console)
            for note in speeds.notes(timing, differing):
                say(console, note, "yellow")
        _print_lecture(found, console)
        drawn = filter(None, map(card_line.line, found))
        for line in (*_readings(found), *_to_target(found), *_compared(found), *drawn):
            say(console, line)
        for record in found:
            for miss in record.missed:
                text = f"{record.cell.label} misses its target: {miss}"
                say(console, text, "red")
            if record.outcome is not Outcome.OK:
                bad = failed(record, session.named)
                text = f"{record.cell.label} {record.outcome}: {record.reason}"
                if bad and record.outcome is Outcome.SKIPPED:
                    text += ASKED_FOR
                say(console, text, "red" if bad else "yellow")
        _print_unverified(found, console)


def _print_lecture(found: Sequence[Record], console: Console) -> None:
    """The figures that a lecture prints of a task, beside ours."""
    if not (printed := lecture.printed(found)):
        return
    rows = lecture.beside(found)
    names = [*dict.fromkeys(name for row in rows for name in row.ours)]
    table = new_table(f"lecture: {printed['document']}")
    for column in ("", "lecture", *names):
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        ours = (row.shown(row.ours.get(name)) for name in names)
        table.add_row(row.quantity, row.shown(row.printed), *ours)
    print_fitted(table, console)
    say(console, printed["differs"])


def _trusted(timing: Timing | None, found: Sequence[Record]) -> Timing | None:
    """A timing in which those alone are verified that are so in the records of every seed."""
    bad = {r.cell.backend_label for r in found if r.outcome is Outcome.OK and not r.verified}
    return timing and replace(
        timing,
        contestants=tuple(
            replace(c, verified=c.verified and c.name not in bad) for c in timing.contestants
        ),
    )


def _by_task(found: Sequence[Record]) -> list[list[Record]]:
    """The records of every task and variant."""
    groups: dict[str, list[Record]] = {}
    for record in found:
        groups.setdefault(record.cell.task_label, []).append(record)
    return list(groups.values())


def _by_backend(found: Sequence[Record]) -> dict[str, list[Record]]:
    """The records by ``backend:mode``."""
    groups: dict[str, list[Record]] = {}
    for record in found:
        groups.setdefault(record.cell.backend_label, []).append(record)
    return groups


def comparisons(found: Sequence[Record]) -> Iterator[tuple[Record, Comparison]]:
    """Every backend's first target's metric against NumPy's, over the seeds that both have.

    ``found`` is of one task. With each comes a record of the backend. One seed is no comparison.
    """
    good = [r for r in found if r.outcome is Outcome.OK and r.targets and r.margin is not None]
    groups = _by_backend(good)
    numpy = _by_seed(next((g for g in groups.values() if g[0].cell.backend == "numpy"), []))
    for group in groups.values():
        values = _by_seed(group)
        shared = [seed for seed in values if seed in numpy]
        if group[0].cell.backend != "numpy" and len(shared) > 1:
            own, base = ([v[seed] for seed in shared] for v in (values, numpy))
            yield group[0], compare(own, base, group[0].margin or 0.0)


def _by_seed(group: Sequence[Record]) -> dict[int, float]:
    """The first target's metric."""
    return {r.cell.seed: r.metrics[r.targets[0]["metric"]] for r in group}


def _readings(found: Sequence[Record]) -> Iterator[str]:
    for record in found:
        if record.reading:
            cell, stopped = record.cell, record.stopped
            text = f"{cell.backend_label} seed {cell.seed}: {record.reading}: "
            text += record.reading.reason
            if stopped:
                text += f"; ended at epoch {stopped['epoch']}, back to epoch {stopped['best']}"
            yield text


def _to_target(found: Sequence[Record]) -> Iterator[str]:
    """For several seeds, what it took to meet the first target."""
    for label, group in _by_backend(
        [r for r in found if r.outcome is Outcome.OK and r.judged]
    ).items():
        epochs = spread([r.epochs_to_target for r in group if r.epochs_to_target is not None])
        seconds = spread([r.time_to_target for r in group if r.time_to_target is not None])
        if len(group) > 1 and epochs and seconds:
            reached = sum(r.epochs_to_target is not None for r in group)
            yield (
                f"{label} to its target of {group[0].targets[0]['metric']}: {reached} of "
                f"{len(group)} seeds, median {epochs.median:g} epochs ({epochs.low:g} to "
                f"{epochs.high:g}), {seconds.median:.2f} s ({seconds.low:.2f} to "
                f"{seconds.high:.2f})"
            )


def _compared(found: Sequence[Record]) -> Iterator[str]:
    for record, c in comparisons(found):
        yield (
            f"{record.cell.backend_label} against NumPy: {c.verdict}: "
            f"{record.targets[0]['metric']} differs by {c.difference:+.4f} (90% {c.low:+.4f} to "
            f"{c.high:+.4f}), margin {record.margin:g}, {c.pairs} seeds"
        )


def _print_unverified(found: Sequence[Record], console: Console) -> None:
    for label, record in {
        r.cell.backend_label: r for r in found if r.outcome is Outcome.OK
    }.items():
        if not record.verified and record.equivalence:
            why = verdict_from(record.equivalence).explanation
            text = f"{label} is NOT VERIFIED, its speed is not compared: {why}"
            say(console, text, "red")


def _table(found: Sequence[Record]) -> Table:
    """The table of quality."""
    cell = found[0].cell
    data = "real data" if cell.data == "real" else "GENERATED DATA, not the real data set"
    threads = "1 thread" if cell.threads == 1 else f"{cell.threads} threads"
    count = len({r.cell.seed for r in found})
    seeds = f"seed {cell.seed}" if count == 1 else f"{count} seeds"
    device = computed(where(record.cell for record in found), cell.precision)
    title = f"{cell.task_label} · {cell.profile} · {device} · {threads} · {seeds} · {data}"
    table = new_table(title)
    table.caption = "s to target: seconds of training until the first target was met"
    metrics = next((r.metrics for r in found if r.metrics), {})
    names = [name for name in metrics if not name.endswith("_ci95")]  # there is no room for more
    table.add_column("backend", no_wrap=True)
    headings = (*(name.replace("_", " ") for name in names), "s to target")
    for heading in headings:
        table.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    table.add_column("same model", justify="right")
    for label, group in _by_backend(found).items():
        table.add_row(label, *_row(group, names))
    return table


def _row(group: Sequence[Record], names: Sequence[str]) -> list[str | Text]:
    good = [r for r in group if r.outcome is Outcome.OK]
    if not good:
        outcomes = ", ".join(dict.fromkeys(r.outcome for r in group))
        skipped = all(r.outcome is Outcome.SKIPPED for r in group)
        return [*["-"] * (len(names) + 1), Text(outcomes, "yellow" if skipped else "red")]
    verified = all(r.verified for r in good)
    reached = [r.time_to_target for r in good if r.time_to_target is not None]
    return [
        *(_spread([r.metrics[name] for r in good], 4) for name in names),
        _spread(reached, 2) if len(reached) == len(good) else "-",
        yes_or_no(verified),
    ]


def _spread(values: Sequence[float], digits: int) -> str:
    """The mean, with the standard deviation where there are several: a word that nothing breaks."""
    text = f"{statistics.fmean(values):.{digits}f}"
    return text if len(values) < 2 else f"{text}±{statistics.stdev(values):.{digits}f}"
