"""A session: steps in their order, each within its limit and all within the minutes that are left.

A step that fails, hangs or does not fit costs itself alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

from tests.card.journal import Entry, Journal, Status
from tests.card.steps import Step


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, None if it was stopped at its limit."""

    code: int | None
    said: str = ""
    """Why it did not end well: of its records, or the last line that it printed."""
    sessions: tuple[str, ...] = ()
    """New ones, of records or timings."""
    log: str = ""


Perform = Callable[[Step, list[str], float], Ended]
"""``perform(step, command, limit)`` runs a command, behind ``python``, for so many seconds."""


class Session:
    """Goes through the steps that are not done.

    ``absent`` has a reason for every contestant that is not there, ``minutes`` is all that there
    is, ``at_once`` how many commands that time nothing may run at the same time, of which ``stop``
    ends those that run.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        journal: Journal,
        absent: Mapping[str, str],
        perform: Perform,
        minutes: float,
        at_once: int = 1,
        say: Callable[[str], None] = print,
        stop: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._steps, self._journal, self._absent = steps, journal, absent
        self._perform, self._at_once = perform, at_once
        self._say, self._stop, self._clock = say, stop, clock
        self._begin = clock()
        self._end = self._begin + 60 * minutes

    def run(self) -> None:
        """Every step that is not done gets its try, if it fits. KeyboardInterrupt ends it."""
        todo = self._journal.todo(self._steps)
        for beside, group in groupby(todo, lambda step: step.beside):
            if beside:
                self._together(list(group))
            else:
                for step in group:
                    self._step(step)

    def _together(self, steps: Sequence[Step]) -> None:
        with ThreadPoolExecutor(self._at_once) as pool:
            try:
                list(pool.map(self._step, steps))
            except BaseException:
                self._stop()  # or the pool would wait for their ends
                raise

    def _step(self, step: Step) -> None:
        if reason := step.lacking(self._absent):
            return self._note(step, Status.NOT_THERE, reason)
        left = self._end - self._clock()
        if step.seconds > left:
            why = f"it needs about {step.seconds:.0f} s, and {max(0.0, left):.0f} s were left"
            return self._put_off(step, why)
        self._try(step, min(step.limit, left), step.limit <= left)
        return None

    def _put_off(self, step: Step, why: str) -> None:
        """It stays open, or failed if that is what a try before came to."""
        before = self._journal.of(step)
        if before.status is Status.FAILED:
            self._say(f"{self._now()} {step.name}: not tried again: {why}")
        else:
            self._note(step, Status.OPEN, why)

    def _try(self, step: Step, limit: float, own: bool) -> None:
        """``own``: the limit is the step's own, not what was left of the session."""
        command = step.command([name for name in step.backends if name not in self._absent])
        absent = {name: why for name, why in self._absent.items() if name in step.backends}
        tries = self._journal.of(step).tries + 1
        interrupted = "it was begun, and its end is not known"
        known = {"tries": tries, "command": command, "absent": absent}
        self._journal.note(step, status=Status.BEGUN, reason=interrupted, **known)
        begin = self._clock()
        try:
            ended = self._perform(step, command, limit)
        except Exception as error:  # noqa: BLE001  (no step may stop the others)
            ended = Ended(-1, f"{type(error).__name__}: {error}")
        seconds = round(self._clock() - begin, 1)
        facts = {"seconds": seconds, "sessions": list(ended.sessions), "log": ended.log}
        if ended.code == 0:
            self._note(step, Status.DONE, "", **facts)
        elif ended.code is None and not own:
            why = f"the session's time was over after {limit:.0f} s of it"
            self._note(step, Status.OPEN, why, **facts)
        else:
            code = f"stopped after {limit:.0f} s" if ended.code is None else f"exit {ended.code}"
            self._note(step, Status.FAILED, f"{code}: {ended.said}", **facts)

    def _note(self, step: Step, status: Status, reason: str, **facts: object) -> None:
        self._journal.note(step, status=status, reason=reason, **facts)
        took = f" in {facts['seconds']} s" if "seconds" in facts else ""
        self._say(f"{self._now()} {step.name}: {status}{took}{reason and f': {reason}'}")

    def _now(self) -> str:
        return f"[{self._clock() - self._begin:4.0f} s]"


def told(steps: Sequence[Step], journal: Journal) -> list[str]:
    """Lines on what is done, failed and open; nothing that was measured."""
    found: dict[Status, list[tuple[Step, Entry]]] = {status: [] for status in Status}
    for step in steps:
        found[journal.of(step).status].append((step, journal.of(step)))
    lines = [", ".join(f"{len(own)} {status}" for status, own in found.items() if own)]
    for status, own in found.items():
        if status is not Status.DONE:
            lines += [f"{status}: {step.name}: {entry.reason}" for step, entry in own]
    for contestant, why in _missing(found[Status.DONE]).items():
        lines.append(f"without {contestant}: {why}")
    return lines


def _missing(done: Sequence[tuple[Step, Entry]]) -> dict[str, str]:
    """Contestants that steps were done without."""
    return {name: why for _, entry in done for name, why in entry.absent.items()}
