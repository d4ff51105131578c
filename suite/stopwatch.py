"""``tetragrad time``: how fast backends are, timed in turns without training to the end.

One of them may be asked for twice: what the two then differ by is what the clock cannot see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suite import ledger, speeds, timings
from suite.console import table as new_table
from suite.devices import computed
from suite.plan import Plan, cells, scaled
from suite.preparation import Preparation
from suite.progress import Reporter
from suite.records import Record
from suite.runner import new_session_id
from suite.timings import Timing, titled
from suite.together import Together, new_record


class Stopwatch:
    """Times the cells of a plan, verified before, and keeps the timings in ``results``.

    Each task at each of ``batch_scales``, one after the other.
    """

    def __init__(self, plan: Plan, results: Path, reporter: Reporter, batch_scales: Sequence[int]):
        self.session = new_session_id()
        self.records: list[Record] = []
        """Of every contestant: how it ended; they are not written."""
        self.timings: dict[str, Timing] = {}
        """By title."""
        self.interrupted = False
        self.not_written = False
        self._plan, self._results, self._reporter = plan, results, reporter
        self._scales = batch_scales
        self._preparation = Preparation(plan, results, reporter)

    def run(self) -> None:
        """KeyboardInterrupt if the user interrupts, NotWritten if a timing cannot be kept."""
        for choice in self._plan.choices:
            source = self._preparation.source(choice[0])
            seed = self._plan.seeds.start
            for scale in self._scales:
                plan = replace(self._plan, options=self._plan.options | scaled(scale))
                found = [new_record(self.session, c) for c in cells(plan, choice, seed, source)]
                self.records += found
                todo = self._preparation.ready(found)
                if todo:
                    self._time(todo)

    def of(self, title: str) -> list[Record]:
        """The records of the timing of that title that went well."""
        return [r for r in self.records if _title(r) == title and r.outcome == "ok"]

    def _time(self, todo: Sequence[Record]) -> None:
        plan, title = self._plan, _title(todo[0])
        self._reporter.busy(f"timing {title}")
        together = Together(
            todo,
            plan.timeout,
            plan.timing_limit,
            lambda record, event: None,
            lambda record: {"memory_limit": plan.memory_limit},
            plan.base,
        )
        together.time()
        if together.timing:
            self.timings[title] = together.timing
            timings.write(self._results, together.timing)

    @property
    def exit_code(self) -> int:
        """0: everyone was verified and timed, and it was kept; 1: not so; 130: interrupted."""
        if self.interrupted:
            return 130
        ran = [r for r in self.records if r.outcome != "skipped"]
        well = all(r.outcome == "ok" and r.verified for r in ran)
        return 0 if ran and well and not self.not_written else 1


def _title(record: Record) -> str:
    """What the timing is called that the record is of."""
    return titled(record.cell.task_label, record.cell.batch_scale)


def document(watch: Stopwatch) -> dict[str, Any]:
    """What ``time --json`` prints."""
    return {
        "session": watch.session,
        "timings": {
            title: speeds.document(timing, watch.of(title))
            for title, timing in watch.timings.items()
        },
        "failures": [
            {"task": _title(r), "backend": r.cell.backend, "mode": r.cell.mode}
            | {"outcome": r.outcome, "reason": r.reason}
            for r in watch.records
            if r.outcome != "ok"
        ],
    }


def print_timings(watch: Stopwatch, console: Console) -> None:
    """A table for every task, fastest first, and what to bear in mind."""
    for title, timing in watch.timings.items():
        differing = ledger.differences(watch.of(title))
        console.print(_table(timing, differing))
        notes = [
            f"{speeds.MARK} not the same for all, so compare with care: {d}" for d in differing
        ]
        notes += [f"noisy: {warning}" for warning in timing.warnings]
        if timing.stopped == "limit":
            notes.append("the time was over before every ratio was known to 2%: see --limit")
        for note in notes:
            console.print(escape(note), style="yellow", soft_wrap=True)
    for record in watch.records:
        if record.outcome != "ok":
            cell = record.cell
            text = f"{_title(record)} in {cell.backend_label} {record.outcome}: {record.reason}"
            console.print(escape(text), style="yellow", soft_wrap=True)


def _table(timing: Timing, differing: Sequence[ledger.Difference]) -> Table:
    data = "real data" if timing.data == "real" else "GENERATED DATA, not the real data set"
    threads = "1 thread" if timing.threads == 1 else f"{timing.threads} threads"
    scaled = f" · batch x {timing.batch_scale}, throughput alone" if timing.batch_scale > 1 else ""
    device = computed(timing.device, timing.precision)
    title = f"{timing.label} · {timing.profile} · {device} · {threads} · {data}"
    table = new_table(title + scaled)
    table.add_column("backend", no_wrap=True)
    for column in (timing.unit, "95%", speeds.heading(timing), "95% interval"):
        table.add_column(column, justify="right")
    table.add_column("of matmul peak", justify="right")
    table.add_column("same model", justify="right")
    rounds = len(timing.samples)
    table.caption = f"{rounds} rounds, after {timing.warm_up_rounds} to warm up"
    fastest_first = sorted(timing.contestants, key=lambda c: -timing.throughput(c.name)[0])
    for one in fastest_first:
        rate, error, ratio = speeds.speed(one.name, timing, one.verified)
        _, low, high = timing.ratio(one.name, timing.base)
        interval = "-" if ratio in ("-", "1") else f"{low:.3f} to {high:.3f}"
        marked = ratio if ratio == "-" else ratio + speeds.mark(one.name, timing, differing)
        peak = speeds.efficiency(one.name, timing, one.verified)
        same = "yes" if one.verified else "NO"
        table.add_row(one.name, rate, error, marked, interval, peak, same)
    return table
