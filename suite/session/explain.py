"""``tetragrad explain``: why one contestant is faster than another.

Each fact in which they differ is made alike alone and timed in turns with both; what is left when
all are made alike is not explained. Switches that stand alike are flipped where they can be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import tasks
from suite.records import builder, differences
from suite.records.events import Described, Event, Outcome
from suite.records.explanation import PHASES, Explanation, Phase, Row
from suite.records.record import Record
from suite.records.timing import Timing, names
from suite.records.verdict import verdict_from
from suite.session.plan import Plan, cells
from suite.session.preparation import Preparation
from suite.session.process import WORKER, launch
from suite.session.race import Race
from suite.session.runner import new_session_id
from suite.session.switches import SWITCHES, Flip, Side, Switch
from suite.worker.flips import FORWARD, GRADIENTS
from tasks.task import RequestError

RISK = 0.05
"""Probability that any interval of an explanation misses what it is to hold."""
STANDS = 1.0, 1.0, 1.0
IN_SWITCHES = ("denormals", "threads", "allocator")
"""Facts of the ledger that switches show, by names that both have."""


@dataclass
class Runner:
    """A contestant of the race: the record of its worker, the flips that made it, its side."""

    record: Record
    origin: Record
    flips: Sequence[Flip] = ()
    inside: Sequence[str] = ()
    """Further changes inside the worker."""
    name: str = ""
    """Its name in the timing; empty if it did not come through."""

    @property
    def ready(self) -> bool:
        """Tells if its backend and mode are there, and the same model."""
        return self.record.outcome is not Outcome.SKIPPED and self.record.verified

    def job(self) -> dict[str, Any]:
        """All that its worker is told."""
        unset = [word for flip in self.flips for name in flip.unset for word in ("-u", name)]
        inside = [*(name for flip in self.flips for name in flip.flips), *self.inside]
        return {"flips": inside, "command": ("env", *unset, *WORKER) if unset else WORKER}


@dataclass
class Question:
    """A switch with the runners that answer it, A's and B's; one not flipped is as it stands."""

    switch: Switch
    values: tuple[str, str]
    flips: tuple[Flip | str, Flip | str]
    alike: bool
    runners: list[Runner] = field(default_factory=list)

    @property
    def flipped(self) -> bool:
        """Tells if there is anything to flip, on either side."""
        return any(isinstance(flip, Flip) for flip in self.flips)

    @property
    def unanswered(self) -> Row:
        """The row of a switch that could not be flipped, with the reason."""
        return replace(self.row, flipped=(None, None), reason=self.failure or self.row.reason)

    @property
    def failure(self) -> str | None:
        """Why what was flipped does not answer it; None if it does."""
        for runner in self.runners:
            own, before = runner.record, runner.origin
            if not runner.name:
                return own.reason or "it is then not shown to be the same model"
            fact = self.switch.name
            if runner.flips and fact in IN_SWITCHES and own.worker[fact] == before.worker[fact]:
                return f"{own.cell.backend_label} was told to, and its ledger shows no change"
        return None

    @property
    def row(self) -> Row:
        """The row of what was asked, without an answer."""
        flipped = [flip.value if isinstance(flip, Flip) else None for flip in self.flips]
        reasons = dict.fromkeys(flip for flip in self.flips if isinstance(flip, str) and flip)
        return Row(
            self.switch.name, self.values, (flipped[0], flipped[1]), reason="; ".join(reasons)
        )


class Explainer:
    """Explains one pair of a plan's backends, ``plan.backends``, on its one task."""

    def __init__(self, plan: Plan, preparation: Preparation, busy: Callable[[str], None]):
        self._plan, self._preparation, self._busy = plan, preparation, busy
        self._session = new_session_id()
        self._bases: list[Record] = []

    def explain(self, switches: Collection[str]) -> Explanation:
        """Flips the ``switches`` of these names. RequestError if A or B cannot be timed or trusted.

        KeyboardInterrupt if the user interrupts.
        """
        source = self._preparation.source(self._plan.choices[0][0])
        asked = cells(self._plan, self._plan.choices[0], self._plan.seeds.start, source)
        self._bases = [builder.begin(self._session, cell) for cell in asked]
        self._require(self._bases)
        sides = self._sides()
        questions = [asked_of(s, *sides) for s in SWITCHES if s.name in switches]
        bases = [Runner(record, record) for record in self._bases]
        runners = [*bases]
        for question in questions:
            question.runners = self._flipped(bases, question.flips)
            runners += [r for r in question.runners if r not in bases]
        alike = [q for q in questions if q.alike and all(r.ready for r in q.runners)]
        together = self._flipped(bases, *(q.flips for q in alike)) if len(alike) > 1 else []
        runners += [r for r in together if r not in bases]
        timing = self._raced(runners, "timing each switch", judged=True)
        phases = self._phases()
        return answered(timing, bases, questions, together, phases)

    def _require(self, records: Sequence[Record]) -> None:
        ready = self._preparation.ready(records)
        for record in records:
            label = record.cell.backend_label
            if record not in ready:
                raise RequestError(f"{label} cannot be explained: {record.reason}")
            if not record.verified:
                why = verdict_from(record.equivalence or {}).explanation
                raise RequestError(f"{label} is not shown to be the same model: {why}")

    def _sides(self) -> tuple[Side, Side]:
        """A and B as their workers see themselves."""
        self._busy("reading the ledgers")
        seen: dict[str, dict[str, Any]] = {}
        for cell in (record.cell for record in self._bases):
            if cell.backend_label in seen:
                continue
            facts: dict[str, Any] = {}

            def on_event(event: Event, facts: dict[str, Any] = facts) -> None:
                if isinstance(event, Described):
                    facts.update(event.worker)

            ending = launch(cell, "describe", on_event, self._plan.timeout)
            if ending.outcome is Outcome.INTERRUPTED:
                raise KeyboardInterrupt
            if ending.outcome is not Outcome.OK:
                raise RequestError(f"{cell.backend_label} cannot be explained: {ending.reason}")
            seen[cell.backend_label] = facts
        c = self._bases[0].cell
        optimizer = tasks.load(c.task, c.profile, c.data, c.variant, c.options).optimizer
        a, b = (Side(r.cell, seen[r.cell.backend_label], optimizer) for r in self._bases)
        return a, b

    def _flipped(
        self, bases: Sequence[Runner], *flips: tuple[Flip | str, Flip | str]
    ) -> list[Runner]:
        """A's runner and B's with these flips, each a pair; those as they stand where it has none.

        A mode that is new must be the same model.
        """
        found = []
        for n, base in enumerate(bases):
            own = [f for pair in flips if isinstance(f := pair[n], Flip)]
            if not own:
                found.append(base)
                continue
            changed: dict[str, Any] = {}
            for flip in own:
                changed |= flip.cell
            record = deepcopy(base.record)
            record.cell = replace(record.cell, **changed)
            if "mode" in changed:
                self._preparation.ready([record])
            found.append(Runner(record, base.record, own))
        return found

    def _raced(self, runners: Sequence[Runner], words: str, judged: bool) -> Timing:
        """The timing of the runners that are the same model, who are named as in it."""
        there = [runner for runner in runners if runner.ready]
        self._busy(f"{words}: {len(there)} contestants")
        by_record = {id(runner.record): runner for runner in there}

        def judge(record: Record, losses: Sequence[float]) -> None:
            # by the losses of the contestant that it was made of: they hold for any threads
            known = replace(record, cell=by_record[id(record)].origin.cell)
            self._preparation.judge(known, losses)
            record.verified, record.equivalence = known.verified, known.equivalence

        race = Race(
            [runner.record for runner in there],
            self._plan.timeout,
            self._plan.timing_limit,
            lambda *_: None,
            lambda record: by_record[id(record)].job(),
            judge if judged else lambda *_: None,
        )
        race.time()
        alive = [runner for runner in there if runner.record.outcome is Outcome.OK]
        labels = names([runner.record.cell.backend_label for runner in alive])
        for runner, label in zip(alive, labels, strict=True):
            runner.name = label if runner.record.verified else ""
        for runner in runners[:2]:
            if not runner.name or race.timing is None:
                label, reason = runner.record.cell.backend_label, runner.record.reason
                raise RequestError(f"{label} cannot be explained: {reason or 'it is not verified'}")
        assert race.timing
        return race.timing

    def _phases(self) -> tuple[Timing, list[Runner]] | str:
        """A timing of A and B, and of each as far as its loss and its gradients; or why none is."""
        if any((r.cell.backend, r.cell.mode) == ("torch", "graph") for r in self._bases):
            return "a CUDA graph is recorded of whole steps"
        insides = ((), (FORWARD,), (GRADIENTS,))
        runners = [Runner(deepcopy(r), r, (), inside) for inside in insides for r in self._bases]
        timing = self._raced(runners, "timing each phase", judged=False)
        missing = [str(r.record.reason) for r in runners if not r.name]
        return missing[0] if missing else (timing, runners)


def asked_of(switch: Switch, a: Side, b: Side) -> Question:
    """The question that a switch is: to make B like A, or A like B, or to flip what there is."""
    values, flips = (switch.value(a), switch.value(b)), (switch.flip(a), switch.flip(b))
    if values[0] != values[1]:
        if isinstance(flips[1], Flip) and flips[1].value == values[0]:
            return Question(switch, values, ("", flips[1]), True)
        if isinstance(flips[0], Flip) and flips[0].value == values[1]:
            return Question(switch, values, (flips[0], ""), True)
    return Question(switch, values, flips, False)


def answered(
    timing: Timing,
    bases: Sequence[Runner],
    questions: Sequence[Question],
    together: Sequence[Runner],
    phases: tuple[Timing, list[Runner]] | str,
) -> Explanation:
    """The explanation that timings give; every interval is so wide that all hold at once."""
    runners = [*(r for q in questions for r in q.runners), *together]
    known = [q for q in questions if q.flipped and q.failure is None]
    alike = [q for q in known if q.alike]
    confidence = 1 - RISK / (3 + 2 * len(known) + 3 * len(PHASES))
    a, b = (runner.name for runner in bases)
    rows = {q.switch.name: _row(q, timing, a, b, confidence) for q in known}
    # A, B and what divides the ratio of their speeds by the effect of every switch alone
    names = [a, *(name for q in alike for name in (b, q.runners[0].name))]
    over = [b, *(name for q in alike for name in (a, q.runners[1].name))]
    rest = timing.compared(names, over, confidence)
    interplay = STANDS
    if together and all(runner.name for runner in together):
        mine, other = (runner.name for runner in together)
        rest = timing.compared((mine,), (other,), confidence)
        interplay = timing.compared([*names, other], [*over, mine], confidence)
    cells = [runner.record.cell for runner in bases]
    return Explanation(
        task=cells[0].task_label,
        a=a,
        b=b,
        cell=cells[0],
        unit=timing.unit,
        rounds=len(timing.samples),
        confidence=confidence,
        total=timing.compared((a,), (b,), confidence),
        alike=tuple(rows[q.switch.name] for q in alike),
        together=interplay,
        rest=rest,
        both=tuple(rows[q.switch.name] for q in known if not q.alike),
        stuck=(*(q.unanswered for q in questions if q not in known), *_others(bases)),
        phases=() if isinstance(phases, str) else _costs(*phases, confidence),
        unseen=phases if isinstance(phases, str) else "",
        warnings=tuple(_named(w, runners) for w in timing.warnings),
    )


def _named(warning: str, runners: Sequence[Runner]) -> str:
    """The warning with what was flipped in place of the numbers that contestants have."""
    told = {
        r.name: f"{r.name.partition('#')[0]} ({', '.join(f.value for f in r.flips)})"
        for r in runners
        if r.name and r.flips
    }
    return re.sub(r"\S+:\w+#\d+", lambda name: told.get(name[0], name[0]), warning)


def _row(question: Question, timing: Timing, a: str, b: str, confidence: float) -> Row:
    mine, other = (runner.name for runner in question.runners)
    ratio = timing.compared((mine,), (other,), confidence)
    effect = timing.compared((a, other), (b, mine), confidence)
    return replace(question.row, ratio=ratio, effect=effect)


def _others(bases: Sequence[Runner]) -> list[Row]:
    """Further facts of the ledgers on which speed depends and that differ."""
    a, b = (runner.record.cell.backend_label for runner in bases)
    found = differences.differences([runner.record for runner in bases])
    return [
        Row(d.fact, (d.values[a], d.values[b]), reason="no switch is known")
        for d in found
        if d.fact not in IN_SWITCHES and d.parts(a, b)
    ]


def _costs(timing: Timing, runners: Sequence[Runner], confidence: float) -> tuple[Phase, ...]:
    """The cost of each phase: the difference between two that stop after each other."""
    whole, forward, gradients = ([r.name for r in runners[n : n + 2]] for n in (0, 2, 4))
    found = []
    stages = ((forward, None), (gradients, forward), (whole, gradients))
    for name, (end, begin) in zip(PHASES, stages, strict=True):
        a, b = ([(1, end[n]), *([(-1, begin[n])] if begin else [])] for n in range(2))
        more = [*b, *((-sign, other) for sign, other in a)]
        costs = (timing.cost(terms, confidence) for terms in (a, b, more))
        found.append(Phase(name, *costs))
    return tuple(found)
