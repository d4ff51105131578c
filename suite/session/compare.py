"""``tetragrad compare``: whether a revision, or an environment, made anything slower or faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from suite.records import builder, timing as timings
from suite.records.cell import Conditions
from suite.records.events import Outcome
from suite.records.findings import Finding
from suite.records.record import Record
from suite.records.timing import Timing
from suite.records.verdict import verdict_from
from suite.session.plan import Plan, cells, failed
from suite.session.preparation import Preparation
from suite.session.race import Race
from suite.system.revisions import Side

THRESHOLD = 0.05
"""By how much a speed may differ and count as the same."""
RISK = 0.05
"""Probability that anything at all, of all that is compared, is called slower or faster wrongly."""

AT_WORK = 0.25
"""Share of one processor: who uses more while it is to wait has not done its work."""


@dataclass(frozen=True)
class Limits:
    """Limits of a decision: the threshold, the seconds for a pair, an interval's confidence."""

    threshold: float
    seconds: float
    confidence: float


def judge(interval: timings.MedianInterval, threshold: float) -> str:
    """The verdict on the ratio of the speed to the base's: only a whole interval decides."""
    _, low, high = interval
    if high < 1 - threshold:
        return "slower"
    if low > 1 + threshold:
        return "faster"
    if low >= 1 - threshold and high <= 1 + threshold:
        return "same"
    return "undecided"


def compare(
    plan: Plan,
    base: Side,
    head: Side,
    threshold: float,
    preparation: Preparation,
    busy: Callable[[str], None],
) -> list[Finding]:
    """A finding for every task, backend and mode of ``plan``: the head must have been verified.

    The two are timed in turns, ``plan.timing_limit`` seconds at most or until their ratio is known
    to 2%. Its interval is so wide that all of them hold at once with 95% (Bonferroni). Only one
    that is slower, twice, fails. KeyboardInterrupt if the user interrupts.
    """
    pairs = len(plan.choices) * len(plan.backends)
    limits = Limits(threshold, plan.timing_limit, 1 - RISK / pairs)
    found = []
    for choice in plan.choices:
        source = preparation.source(choice[0])
        own = cells(plan, choice, plan.seeds.start, source)
        records = [builder.begin("compared", cell) for cell in own]
        ready = preparation.ready(records)
        for record in records:
            name = _name(record.cell)
            if record not in ready:
                passed = False if failed(record, plan.named) else None
                found.append(Finding(name, record.outcome, str(record.reason), passed))
            elif not record.verified:
                found.append(
                    Finding(
                        name,
                        "not verified",
                        "speeds of unverified backends are not compared",
                        False,
                    )
                )
            else:
                busy(f"comparing {name}")
                once = partial(speed, name, record, (base, head), limits, preparation)
                found.append(confirmed(once))
    return found


def untimed(plan: Plan, base: Side) -> list[Finding]:
    """The findings on a plan's tasks and backends that are the same program as in the base."""
    reason = f"no file that its worker runs differs from {base.name}: nothing was timed"
    return [
        Finding(_name(Conditions(task=t, variant=v, backend=b, mode=m)), "same program", reason)
        for t, v in plan.choices
        for b, m in plan.backends
    ]


def alone(plan: Plan, name: str) -> Plan:
    """The plan with nothing but the task and backend that a finding of ``compare`` is named by."""
    (found,) = (
        replace(plan, choices=((task, variant),), backends=((backend, mode),))
        for task, variant in plan.choices
        for backend, mode in plan.backends
        if name == _name(Conditions(task=task, variant=variant, backend=backend, mode=mode))
    )
    return found


def _name(cell: Conditions) -> str:
    return f"{cell.task_label} in {cell.backend_label}"


def confirmed(once: Callable[[], Finding]) -> Finding:
    """The finding of one comparison; but a slower side must be slower in other processes too.

    On a busy machine one process may have had the worse processor all along.
    """
    first = once()
    if first.verdict != "slower":
        return first
    again = once()
    if again.verdict == "slower":
        return again
    reason = (
        f"not confirmed in other processes: {first.reason}; then {again.verdict}, {again.reason}"
    )
    return replace(first, verdict="undecided", reason=reason, passed=None)


def unfinished(timing: Timing, name: str) -> str | None:
    """Why a contestant's seconds cannot be those of its work; None if they can.

    That is how a synchronisation that was dropped shows where work is dispatched asynchronously.
    """
    efficiency, idle_load = timing.efficiency(name), timing.contestant(name).idle_load
    if efficiency and efficiency[1] > 1:
        return f"it would attain {efficiency[0]:.0%} of what the machine attains"
    if idle_load > AT_WORK:
        return f"it used {idle_load:.0%} of a processor while the other was to work alone"
    return None


def raced(
    record: Record, sides: Sequence[Side], limits: Limits, preparation: Preparation, train: bool
) -> tuple[list[Record], Timing | None]:
    """The base and the head in turns: the record of each, a copy of ``record`` filled in.

    They are timed alone, or with ``train`` trained to their end first. The head must be verified.
    """
    records = [deepcopy(record), deepcopy(record)]

    def job(one: Record) -> dict[str, Any]:
        (side,) = (s for s, r in zip(sides, records, strict=True) if r is one)
        return {"command": side.command}

    def judge(one: Record, losses: Sequence[float]) -> None:
        if one is records[1]:  # the base may have been another model
            preparation.judge(one, losses)

    race = Race(
        records,
        preparation.timeout,
        limits.seconds,
        lambda *_: None,
        job,
        judge,
        confidence=limits.confidence,
    )
    if train:
        race.run(lambda _: None)
    else:
        race.time()
    return records, race.timing


def speed(
    name: str,
    record: Record,
    sides: tuple[Side, Side],
    limits: Limits,
    preparation: Preparation,
) -> Finding:
    """The finding on the speed of ``sides``, the base and the head."""
    return judged(name, sides, *raced(record, sides, limits, preparation, train=False), limits)


def judged(
    name: str,
    sides: tuple[Side, Side],
    records: Sequence[Record],
    timing: Timing | None,
    limits: Limits,
) -> Finding:
    """The finding on the speeds of two that took turns."""
    for side, one in zip(sides, records, strict=True):
        if one.outcome is not Outcome.OK:
            reason = f"{side.name} {one.outcome}: {one.reason}"
            return Finding(name, "undecided", reason, None if side is sides[0] else False)
    if not records[1].verified:
        why = verdict_from(records[1].equivalence or {}).explanation
        return Finding(name, "not verified", str(why), False)
    if timing is None or len(timing.contestants) < 2:
        return Finding(name, "undecided", "one of the two ended while they were timed", None)
    return _finding(name, timing, limits)


def told(interval: timings.MedianInterval) -> str:
    """The ratio of two speeds in words: ``0.9% faster (−1.1% to +3.0%)``."""  # noqa: RUF002
    middle, low, high = (f"{100 * (ratio - 1):+.1f}%".replace("-", "−") for ratio in interval)  # noqa: RUF001
    change = f"{middle[1:]} {'faster' if middle[0] == '+' else 'slower'}"
    return f"{'the same speed' if change.startswith('0.0%') else change} ({low} to {high})"


def _finding(name: str, timing: Timing, limits: Limits) -> Finding:
    first, second = (c.name for c in timing.contestants)
    if why := unfinished(timing, second):
        reason = f"{why}: its train must return only when all work is done"
        return Finding(name, "not waited for", reason, False)
    interval = timing.ratio(second, first, limits.confidence)
    verdict = judge(interval, limits.threshold)
    reason = f"{told(interval)}, {limits.confidence:.2%} interval of {len(timing.samples)} rounds"
    if verdict == "undecided":
        reason += "; more time may decide: --limit"
    reason = "; ".join((reason, *(f"noisy: {warning}" for warning in timing.warnings)))
    passed = {"slower": False, "undecided": None}.get(verdict, True)
    return Finding(name, verdict, reason, passed)
