"""Reproduction: a cell trained again from its record alone, and what came out the same.

Losses must be the same to the bit where the backend promises that and nothing that they depend on
has changed. Else those of the first steps may part as far as two runs within the task's envelope
can; later ones may part further, since rounding grows while a model is trained, and are not judged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import backends
import tasks
from suite.records import builder
from suite.records.differences import Difference, words
from suite.records.events import Event, Outcome, Started
from suite.records.findings import Finding, Findings
from suite.records.record import Record
from suite.records.specification import about, differing, flat
from suite.session.race import train_untimed
from suite.system import environment
from tasks.task import Array, RequestError, Task

THERE, HERE = "the record", "here"
RERUNNABLE = (Outcome.OK, Outcome.DIVERGED)
"""Outcomes of a record that says what training comes to."""
VARYING = frozenset(
    (
        *(
            "frequency_khz",
            "cores_used",
            "running_threads",
            "denormals_left",
            "device",
            "device_clock",
        ),
        *("joules", "watts", "celsius_max", "clock_mhz", "slowed_by", "process_bytes_max"),
    )
)
"""Facts that vary from moment to moment, or that workers know only after training."""
SPEED_ALONE = frozenset(("affinity", "cpu_quota", "governor", "boost", "huge_pages"))
"""Facts that make a program faster or slower, but change no number."""


def require_rerunnable(record: Record) -> Task:
    """The task that the record's cell trains on, as it is today.

    RequestError if it cannot be run here, or would not be the same: without its backend or mode, a
    profile or option, as many CPUs; with other constants or other data; or without losses.
    """
    cell = record.cell
    if record.outcome not in RERUNNABLE or not record.chunks:
        raise RequestError(
            f"{cell.label} has the outcome '{record.outcome}', which says nothing of what training "
            f"comes to; give a record with the outcome {' or '.join(RERUNNABLE)}"
        )
    ((name, mode),) = backends.choices(cell.backend_label)
    if reason := backends.unavailable(name, mode, cell.task):
        raise RequestError(f"{cell.label} cannot be run here: {reason}")
    environment.require_cpus(cell.threads)
    task = tasks.load(cell.task, cell.profile, cell.data, cell.variant, cell.options)
    today = json.loads(json.dumps(about(task)))
    _require_constants(record, today["specification"])
    then, now = (p.get("pretrained") for p in (record.provenance, today["provenance"]))
    if then != now:
        raise RequestError(
            f"{cell.label} started from another pretrained state: its digest was {then} and is "
            f"{now}; train it where the record was made, or go back to its commit"
        )
    then, now = record.provenance.get("digest"), today["provenance"]["digest"]
    if then != now:
        raise RequestError(
            f"{cell.label} was trained on other data: the digest of {task.provenance.dataset} was "
            f"{then} and is {now}; `tetragrad data list` says which files are here"
        )
    return task


def _require_constants(record: Record, today: Mapping[str, Any]) -> None:
    """RequestError names those that have changed."""
    if changed := differing(record.specification, today):
        commit = record.git.get("commit")
        raise RequestError(
            f"{record.cell.label} was another model: {'; '.join(changed)}; go back to the commit "
            f"of the record, {commit or 'which it does not know'}"
        )


@dataclass(frozen=True)
class Rerun:
    """A record and what came of its cell when it was run again."""

    record: Record
    again: Record
    task: Task

    @property
    def differences(self) -> tuple[Difference, ...]:
        """All that is not the same in the environment of both, packages first."""
        return tuple(Difference(fact, values) for fact, values, _ in self._parted())

    @property
    def unpromised(self) -> str | None:
        """Why the losses need not be the same to the bit; None if they must be."""
        parted = [fact for fact, _, matters in self._parted() if matters]
        cell = self.record.cell
        if parted:
            return f"{', '.join(parted)} {'is' if len(parted) == 1 else 'are'} not the same"
        if self.record.resumed is not None and cell.backend != "numpy":
            return f"the record's training went on from a checkpoint (step {self.record.resumed})"
        return backends.load(cell.backend).repeatable(cell.device, cell.threads)

    def findings(self) -> Findings:
        """Findings on the outcome, losses, metrics and texts: whether each matched."""
        found = (self._outcome(), self._losses(), self._metrics(), self._texts())
        return Findings(f"reproduce {self.record.cell.label}", found)

    def _parted(self) -> Iterator[tuple[str, dict[str, str], bool]]:
        """Fact, its value there and here, and whether a loss could be another for it."""
        for kind in ("packages", "git", "machine", "worker"):
            then, now = (_facts(getattr(r, kind)) for r in (self.record, self.again))
            for fact in sorted(then.keys() | now.keys()):
                if (before := then.get(fact, "none")) != (after := now.get(fact, "none")):
                    named = f"{_KINDS[kind]}{fact}"
                    matters = fact.partition(".")[0] not in SPEED_ALONE
                    yield named, {THERE: before, HERE: after}, matters

    def _outcome(self) -> Finding:
        then, now = (_said(r.outcome, r.reason) for r in (self.record, self.again))
        if then == now:
            return Finding("outcome", "same", then)
        return Finding("outcome", "different", f"{then} there, {now} here", False)

    def _losses(self) -> Finding:
        then, now = losses(self.record), losses(self.again)
        if then.shape != now.shape:
            reason = f"{then.size} steps there, {now.size} here"
            return Finding("losses", "different", reason, False)
        if np.array_equal(then, now):
            return Finding("losses", "same", f"all {then.size} steps to the bit")
        at = int(np.argmax(then != now))
        parts = f"they first differ at step {at + 1}: {then[at]!r} there, {now[at]!r} here"
        if self.unpromised is None:
            return Finding(
                "losses", "different", f"{parts}, and must be the same to the bit", False
            )
        return self._within_tolerance(then, now, parts)

    def _within_tolerance(self, then: Array, now: Array, parts: str) -> Finding:
        """Twice the envelope: each of the two runs may be as far from the oracle."""
        envelope = self.task.envelopes[self.record.cell.precision]
        allowed = 2 * envelope.loss_tolerances()[: then.size]
        judged = len(allowed)
        errors = np.abs(then - now)[:judged] / np.maximum(np.abs(then[:judged]), 1e-300)
        rule = (
            f"of the first {judged} steps a loss may differ by {_span(allowed)}, twice what the "
            f"task's envelope allows against the oracle; of {then.size} in all"
        )
        if not (outside := errors > allowed).any():
            worst = f"the largest error is {errors.max():.1e}"
            return Finding("losses", "within tolerance", f"{parts}; {worst}; {rule}")
        at = int(np.argmax(outside))
        reason = f"{parts}; at step {at + 1} by {errors[at]:.1e}: {rule}"
        if self.record.cell.seed != self.task.verification_seed:
            reason += (
                f"; that was measured with seed {self.task.verification_seed}, which keeps clear "
                "of inputs that rounding carries over a corner of the model, and others may not"
            )
        return Finding("losses", "different", reason, False)

    def _metrics(self) -> Finding:
        then, now = ([e["metrics"] for e in r.epochs] for r in (self.record, self.again))
        if then == now:
            return Finding("metrics", "same", f"of all {len(then)} epochs, to the bit")
        known = self.record.metrics.items()
        said = (
            f"{n} {v:.6g} there, {self.again.metrics.get(n, np.nan):.6g} here" for n, v in known
        )
        return self._unless_promised("metrics", f"at the end {', '.join(said)}")

    def _texts(self) -> Finding:
        if not (self.record.texts or self.again.texts):
            return Finding("texts", "none", "the task shows none", None)
        then, now = self.record.texts, self.again.texts
        if then == now:
            return Finding("texts", "same", f"all {len(then)}")
        parted = [name for name in then.keys() | now.keys() if then.get(name) != now.get(name)]
        return self._unless_promised("texts", f"not the same: {', '.join(sorted(parted))}")

    def _unless_promised(self, name: str, reason: str) -> Finding:
        """Failed where all must be the same to the bit; else there is no tolerance to judge by."""
        if self.unpromised is None:
            return Finding(name, "different", reason, False)
        return Finding(name, "not judged", reason, None)


def rerun(
    record: Record,
    task: Task,
    begun: Callable[[Rerun], None],
    watch: Callable[[Event], None] = lambda event: None,
) -> Rerun:
    """Trains the cell again, in a process of its own. Nothing of it is kept.

    ``begun`` is called once the worker has said what it runs in, before it trains, ``watch`` with
    every event. RequestError if the device is not there; KeyboardInterrupt if the user interrupts.
    """
    found = Rerun(record, builder.begin(record.session, record.cell), task)

    def on_event(record: Record, event: Event) -> None:
        watch(event)
        if isinstance(event, Started):
            begun(found)

    train_untimed([found.again], on_event)
    if found.again.outcome is Outcome.SKIPPED:
        raise RequestError(f"{record.cell.label} cannot be run here: {found.again.reason}")
    return found


def losses(record: Record) -> Array:
    """The loss of every step (steps,). RequestError if they cannot be read."""
    try:
        return np.array([loss for c in record.chunks for loss in c["losses"]], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(
            f"the losses of {record.cell.label} cannot be read ({error!r}); its record is damaged"
        ) from None


_KINDS = {"packages": "package ", "git": "git ", "machine": "machine: ", "worker": ""}


def _facts(document: Mapping[str, Any]) -> dict[str, str]:
    """Facts by name as texts, less those that vary of themselves."""
    known = flat(document).items()
    return {name: words(v) for name, v in known if VARYING.isdisjoint(name.split("."))}


def _said(outcome: str, reason: str | None) -> str:
    return f"{outcome}: {reason}" if reason else outcome


def _span(allowed: Array) -> str:
    low, high = allowed.min(), allowed.max()
    return f"{low:.0e}" if low == high else f"{low:.0e} at first and {high:.0e} in the end"
