"""``tetragrad time``: how fast backends are, timed in turns without training to the end.

One of them may be asked for twice: what the two then differ by is what the clock cannot see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from suite.records import builder, timing as timings
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.timing import Timing, titled
from suite.session.plan import Plan, cells, failed
from suite.session.preparation import Preparation
from suite.session.race import Race
from suite.session.reporter import Reporter
from suite.session.runner import new_session_id


class Stopwatch:
    """Times the cells of a plan, verified before, and keeps the timings in ``results``.

    Each task at each of ``batch_scales``, one after the other.
    """

    def __init__(self, plan: Plan, results: Path, reporter: Reporter, batch_scales: Sequence[int]):
        self.session = new_session_id()
        self.records: list[Record] = []
        """Records of every contestant: how it ended; they are not written."""
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
                conditions = self._plan.conditions.at_batch_scale(scale)
                plan = replace(self._plan, conditions=conditions)
                found = [builder.begin(self.session, c) for c in cells(plan, choice, seed, source)]
                self.records += found
                todo = self._preparation.ready(found)
                if todo:
                    self._time(todo)

    def of(self, title: str) -> list[Record]:
        """The records of the timing of that title that went well."""
        return [r for r in self.records if title_of(r) == title and r.outcome is Outcome.OK]

    def _time(self, todo: Sequence[Record]) -> None:
        plan, title = self._plan, title_of(todo[0])
        self._reporter.busy(f"timing {title}")
        race = Race(
            todo,
            plan.timeout,
            plan.timing_limit,
            lambda record, event: None,
            lambda record: {"memory_limit": plan.memory_limit},
            self._preparation.judge,
            plan.base,
        )
        race.time()
        if race.timing:
            self.timings[title] = race.timing
            timings.write(self._results, race.timing)

    @property
    def exit_code(self) -> int:
        """0: all were verified, timed and kept, none that was named is skipped. 1: not so.
        130: interrupted."""
        if self.interrupted:
            return 130
        ran = any(record.outcome is not Outcome.SKIPPED for record in self.records)
        bad = self.not_written or any(failed(record, self._plan.named) for record in self.records)
        return 0 if ran and not bad else 1


def title_of(record: Record) -> str:
    """The title of the timing that the record is of."""
    return titled(record.cell)
