"""Symptoms of a cell: whether one environment is slower than another, differs from it, or fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import backends
import tasks
from suite.records import builder
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.findings import Finding
from suite.records.record import Record
from suite.records.timing import MedianInterval
from suite.session.bisect import Answer
from suite.session.compare import Limits, confirmed, judged, raced
from suite.session.culprit import Probe, Symptom
from suite.session.plan import Plan
from suite.session.preparation import Preparation
from suite.session.reporter import Reporter
from suite.session.traces import Traces
from suite.session.verdict_cache import sources_digest
from suite.session.verifier import oracle
from suite.system.environment import machine
from suite.system.git import ROOT
from suite.system.overlay import Environments, Overlay
from suite.system.revisions import Side
from tasks.task import Tree

LONGER = 4
"""How many times as long is timed once more where the interval did not decide."""


@dataclass
class Looking:
    """Looks for one symptom of a cell in environments, held against the ``old`` one."""

    symptom: Symptom
    cell: Cell
    old: Overlay
    new: Overlay
    environments: Environments
    plan: Plan
    limits: Limits
    results: Path
    reporter: Reporter
    slowed: float | None = None
    """How many times as fast the new environment is, once it was found to be slower: what is
    between the two is then asked which of them it is like, and no more whether it is slower."""

    def facts(self) -> Mapping[str, Any]:
        """All that an answer depends on, beside the environment."""
        timed = asdict(self.limits) if self.symptom is Symptom.SLOWER else None
        return {
            "symptom": self.symptom,
            "cell": asdict(self.cell),
            "old": [self.old.key, dict(self.old.versions)],
            # which difference, or failure, is looked for
            "new": [self.new.key, dict(self.new.versions)],
            "limits": timed,
            "machine": dict(machine()),
            "data": self._traces.task.provenance.digest,
            "task": dict(tasks.sources(self.cell.task)),
            "backend": dict(backends.package(self.cell.backend)),
            "sources": sources_digest(ROOT, self.cell.backend, oracle(self.cell.task)[0]),
        }

    def __call__(self, overlay: Overlay) -> Probe:
        """Looks for it in one environment."""
        side = self._side(overlay, "it")
        looks: Mapping[Symptom, Callable[[Side], Probe]] = {
            Symptom.SLOWER: self._slower,
            Symptom.DIFFERS: self._differs,
            Symptom.FAILS: self._fails,
        }
        return looks[self.symptom](side)

    def _side(self, overlay: Overlay, name: str) -> Side:
        return Side(name, python=self.environments.python(overlay))

    @cached_property
    def _traces(self) -> Traces:
        return Traces(self.cell, self.plan.timeout)

    @cached_property
    def _old_trace(self) -> Tree:
        return self._traces.of(self._side(self.old, "the old one"))[0]

    @cached_property
    def _beyond(self) -> bool:
        """Tells if the new environment differs by more than rounding: then that is looked for."""
        trace, _ = self._traces.of(self._side(self.new, "the new one"))
        found = self._traces.difference(self._old_trace, trace) if trace else None
        return bool(found and found.beyond)

    def _differs(self, side: Side) -> Probe:
        if not self._old_trace:
            return Probe(None, "the old environment fails")
        trace, ending = self._traces.of(side)
        if ending.outcome is not Outcome.OK:
            return Probe(None, f"{ending.outcome}: {ending.reason}")
        found = self._traces.difference(self._old_trace, trace)
        if found is None:
            return Probe(False, "the same to the bit")
        if self._beyond and not found.beyond:
            return Probe(False, f"differs by rounding alone, from {found.place}")
        return Probe(True, str(found))

    @cached_property
    def _crashes(self) -> bool:
        """Tells if the new environment cannot even be traced: else its proof is looked at."""
        ending = self._traces.of(self._side(self.new, "the new one"))[1]
        return ending.outcome is not Outcome.OK

    def _fails(self, side: Side) -> Probe:
        if self._crashes:
            ending = self._traces.of(side)[1]
            if ending.outcome is Outcome.OK:
                return Probe(False, "it works")
            return Probe(True, f"fails: {ending.outcome}: {ending.reason}")
        record, _ = self._ready(side)
        return Probe(not record.verified, "the same model" if record.verified else "not verified")

    def _ready(self, side: Side) -> tuple[Record, Preparation]:
        preparation = Preparation(self.plan, self.results, self.reporter, side)
        record = builder.begin("bisected", self.cell)
        preparation.ready([record])
        return record, preparation

    @cached_property
    def _prepared(self) -> tuple[Record, Preparation]:
        """The record of the old environment, whose model's speed is looked at."""
        return self._ready(self._side(self.old, "the old one"))

    def _slower(self, side: Side) -> Probe:
        record, preparation = self._prepared
        if not record.verified:
            return Probe(None, "the old environment is not verified")
        sides = (self._side(self.old, "the old one"), side)
        ratios: list[MedianInterval] = []

        def timed(limits: Limits) -> Finding:
            records, timing = raced(record, sides, limits, preparation, train=False)
            if timing and len(timing.contestants) == 2:
                names = [contestant.name for contestant in timing.contestants]
                ratios.append(timing.ratio(names[1], names[0], limits.confidence))
            return judged("speed", sides, records, timing, limits)

        for longer in (1, LONGER):
            limits = replace(self.limits, seconds=longer * self.limits.seconds)
            if self.slowed is None:
                found = confirmed(partial(timed, limits))
                shows = {"slower": True, "same": False, "faster": False}.get(found.verdict)
            else:
                found = timed(limits)
                shows = brings(ratios[-1], self.slowed) if ratios else None
            if shows is not None:
                break
        words = found.reason
        if self.slowed and ratios:
            middle, low, high = ratios[-1]
            words = f"{middle:.3f} times as fast ({low:.3f} to {high:.3f})"
        return Probe(shows, "slower, " * bool(shows) + words, ratios[-1][0] if ratios else None)


def brings(ratio: MedianInterval, slowed: float) -> Answer:
    """Tells if an environment brings the slowness of the new one, whose ratio to the old is known.

    It does if its whole interval is nearer to that ratio than to 1 (on a logarithmic scale).
    """
    _, low, high = ratio
    middle = math.sqrt(slowed)
    return True if high < middle else False if low > middle else None
