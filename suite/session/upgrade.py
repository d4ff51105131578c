"""``tetragrad upgrade``: what is the same, better or worse in another environment.

Equivalence, losses, quality and speed of every task in every backend, old and new in turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import backends
from suite.records import builder
from suite.records.convergence import compare as compare_runs
from suite.records.events import Outcome
from suite.records.findings import Finding
from suite.records.record import Record
from suite.records.timing import Timing
from suite.records.verdict import verdict_from
from suite.session.check import equivalence
from suite.session.compare import RISK, Limits, confirmed, judged, raced, speed
from suite.session.plan import Plan, cells, failed
from suite.session.preparation import Preparation
from suite.session.race import train_untimed
from suite.session.reporter import Reporter
from suite.session.reproduce import losses
from suite.session.traces import Traces
from suite.system.revisions import Side

SEEDS = 5
"""Seeds that are trained from, at most, to tell if the new environment ends equally well."""


def upgrade(
    plan: Plan, base: Side, head: Side, threshold: float, results: Path, reporter: Reporter
) -> Iterator[Finding]:
    """Findings on every task and backend of ``plan``, those of one after the other.

    Speeds are judged as by ``compare``. KeyboardInterrupt if the user interrupts.
    """
    old, new = (Preparation(plan, results, reporter, side) for side in (base, head))
    pairs = len(plan.choices) * len(plan.backends)
    limits = Limits(threshold, plan.timing_limit, 1 - RISK / pairs)
    for choice in plan.choices:
        source = new.source(choice[0])
        own = cells(plan, choice, plan.seeds.start, source)
        records = [builder.begin("upgraded", cell) for cell in own]
        new.ready(records)
        for record in records:
            yield from _Pair(record, (base, head), limits, old, new, plan, reporter).findings()


@dataclass(frozen=True)
class _Pair:
    """One task in one backend, which the new environment has verified or found wanting."""

    record: Record
    sides: tuple[Side, Side]
    limits: Limits
    old: Preparation
    new: Preparation
    plan: Plan
    reporter: Reporter

    @property
    def place(self) -> str:
        return f"{self.record.cell.task_label} {self.record.cell.backend_label}"

    def findings(self) -> Iterator[Finding]:
        """Findings in the order of computing; nothing comes behind what fails."""
        record = self.record
        if record.outcome is Outcome.SKIPPED:
            passed = False if failed(record, self.plan.named) else None
            yield Finding(f"{self.place}: equivalence", "skipped", str(record.reason), passed)
        elif not record.verified:
            yield self._not_verified()
        else:
            self.reporter.busy(f"training {self.place} in both environments")
            pair, timing = raced(record, self.sides, self.limits, self.new, train=True)
            yield from self._trained(pair, timing)

    def _not_verified(self) -> Finding:
        """It counts as worse if the old environment is verified."""
        verdict = verdict_from(self.record.equivalence or {})
        word = "fails" if verdict.outcome is not Outcome.OK else "not the same model"
        before = builder.begin("upgraded", self.record.cell)
        self.old.ready([before])
        also = "" if before.verified else "; the old environment is not verified either"
        reason, passed = f"{verdict.explanation}{also}", False if before.verified else None
        return Finding(f"{self.place}: equivalence", word, reason, passed)

    def _trained(self, pair: Sequence[Record], timing: Timing | None) -> Iterator[Finding]:
        before, after = pair
        ended = [(s, r) for s, r in zip(self.sides, pair, strict=True) if r.outcome != Outcome.OK]
        if ended:
            reason = "; ".join(f"{side.name} {r.outcome}: {r.reason}" for side, r in ended)
            passed = None if ended[0][1] is before else False
            yield Finding(f"{self.place}: equivalence", "fails", reason, passed)
            return
        yield equivalence(verdict_from(after.equivalence or {}), self.place)
        if after.verified:
            yield self._losses(before, after)
            yield self._quality(before, after)
            yield self._speed(pair, timing)

    def _speed(self, pair: Sequence[Record], timing: Timing | None) -> Finding:
        name = f"{self.place}: speed"
        again = partial(speed, name, self.record, self.sides, self.limits, self.new)
        first = partial(judged, name, self.sides, pair, timing, self.limits)
        return confirmed((measured() for measured in (first, again)).__next__)

    def _losses(self, before: Record, after: Record) -> Finding:
        """Bit by bit; where they differ, the step and the leaf, and whether rounding does it."""
        name, cell = f"{self.place}: losses", after.cell
        then, now = losses(before), losses(after)
        if np.array_equal(then, now):
            return Finding(name, "same", f"all {now.size} steps to the bit")
        at = int(np.argmax(then[: now.size] != now[: then.size]))
        traces = Traces(cell, self.new.timeout)
        self.reporter.busy(f"looking for the first difference of {self.place}")
        trees = [traces.of(side)[0] for side in self.sides]
        found = traces.difference(*trees) if all(trees) else None
        said = f"in training from step {at + 1}: {then[at]:.9g} before, {now[at]:.9g} now"
        if found is None:
            return Finding(name, f"differ from step {at + 1}", f"{said}; not in the proof's steps")
        reason = f"{said}; in the proof from {found.place}, {found.error:.1e} of its largest entry"
        if found.beyond:
            reason += f"; more than rounding: {found.beyond}"
        elif why := backends.load(cell.backend).repeatable(cell.device, cell.threads):
            return Finding(name, "same within tolerance", f"{reason}; {why}")
        return Finding(name, f"differ from {found.place}", reason, not found.beyond)

    def _quality(self, before: Record, after: Record) -> Finding:
        """The first target's metric at the end, within the task's margin."""
        name = f"{self.place}: quality"
        if before.metrics == after.metrics:
            return Finding(name, "same", f"{_metrics(after)}, to the bit")
        if not after.targets:
            return Finding(name, "not judged", f"{_metrics(after)}; the task has no target", None)
        target, margin = after.targets[0], after.margin or 0.0
        metric = target["metric"]
        a, b = [after.metrics[metric]], [before.metrics[metric]]
        if abs(a[0] - b[0]) <= margin:
            return Finding(name, "same", f"{metric} {b[0]:.4g}, then {a[0]:.4g}; margin {margin:g}")
        for seed in range(1, SEEDS):
            own = [builder.begin("upgraded", replace(after.cell, seed=seed)) for _ in self.sides]
            train_untimed(own, lambda *_: None, self.new.timeout, self._job(own))
            if all(one.outcome is Outcome.OK for one in own):
                b.append(own[0].metrics[metric])
                a.append(own[1].metrics[metric])
        found = compare_runs(a, b, margin)
        reason = (
            f"{metric} {np.mean(b):.4g}, then {np.mean(a):.4g}, {found.pairs} seeds; "
            f"margin {margin:g}"
        )
        if found.verdict != "different":
            passed = True if found.verdict == "same" else None
            return Finding(name, "same" if passed else "undecided", reason, passed)
        better = (found.difference > 0) == (target["low"] is not None)
        return Finding(name, "better" if better else "worse", reason, better)

    def _job(self, own: Sequence[Record]) -> Any:
        """The command of each of two records' workers."""

        def job(record: Record) -> dict[str, Any]:
            (side,) = (s for s, one in zip(self.sides, own, strict=True) if one is record)
            return {"command": side.command}

        return job


def _metrics(record: Record) -> str:
    """The metrics at the end in words, at most three."""
    return ", ".join(f"{name} {value:.4g}" for name, value in [*record.metrics.items()][:3])
