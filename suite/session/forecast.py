"""A forecast of how long a run will take: from earlier sessions here, else from typical figures.

Typical figures are seconds of the quick profile on one machine, ``typical.json``, with the rate of
its matrix products at that time; where products are slower, all is held to take longer.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from suite.records import record as records, timing as timings
from suite.records.cell import Cell, Conditions
from suite.records.machines import facts_of
from suite.records.record import Record
from suite.records.timing import Timing
from suite.session import verdict_cache
from suite.system.environment import at_once, machine
from tasks.task import RequestError

TYPICAL = Path(__file__).with_name("typical.json")
START = ("import", "data", "build", "compile", "transfer")
"""Phases of the first turns, which several workers have at once."""
SESSIONS = 20
"""So many earlier sessions are looked through."""
MOST = 3
"""Times the limit that rounds may take, since there are some at least, however long they are."""
HERE, ELSEWHERE = "as in earlier sessions here", "by typical figures and the speed of this machine"


@dataclass(frozen=True)
class Forecast:
    """Seconds of each group of cells; None where nothing is known of it."""

    labels: tuple[str, ...]
    """The task of each group."""
    seconds: tuple[float | None, ...]
    basis: str
    """The origin of the figures: ``HERE`` or ``ELSEWHERE``."""

    @property
    def sentence(self) -> str:
        """``about 9 min, as in earlier sessions here: fashion_mlp 50 s, lstm 2 min``; or nothing,
        if nothing is known."""
        if not (whole := self.left(0)):
            return ""
        each = dict.fromkeys(self.labels, 0.0)
        for label, seconds in zip(self.labels, self.seconds, strict=True):
            each[label] += seconds or 0.0
        unknown = {n for n, s in zip(self.labels, self.seconds, strict=True) if s is None}
        told = (f"{n} {'unknown' if n in unknown else shown(s)}" for n, s in each.items())
        roughly = "at least" if unknown else "about"
        return f"{roughly} {shown(whole)}, {self.basis}: {', '.join(told)}"

    def left(self, number: int) -> float:
        """The seconds of all groups from ``number`` on (from 0), as far as they are known."""
        return sum(seconds or 0.0 for seconds in self.seconds[number:])


def shown(seconds: float) -> str:
    """``50 s``, ``9 min``."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def forecast(
    groups: Sequence[Sequence[Cell]],
    results: Path,
    limit: float,
    proved: Callable[[Sequence[Cell]], bool],
    attained: Callable[[Cell], float | None],
) -> Forecast:
    """The forecast for ``groups`` of cells, which are timed for ``limit`` [s] at most.

    ``proved`` tells if there are verdicts on all of a group, ``attained`` the rate of matrix
    products on a cell's machine [operations/s].
    """
    every = itertools.chain.from_iterable(groups)
    earlier, typical = _Earlier(results, every), _Typical(attained)
    seconds: list[float | None] = []
    bases, verified = [], set()
    for group in groups:
        source: _Earlier | _Typical = earlier if earlier.knows(group) else typical
        if not source.knows(group):
            seconds.append(None)
            continue
        label = group[0].task_label
        done = label in verified or proved(group)
        seconds.append(source.running(group, limit) + (0 if done else source.verifying(group)))
        verified.add(label)
        bases.append(source.basis)
    labels = tuple(group[0].task_label for group in groups)
    return Forecast(labels, tuple(seconds), ELSEWHERE if ELSEWHERE in bases else HERE)


class _Earlier:
    """Seconds of earlier sessions on this machine."""

    basis = HERE

    def __init__(self, results: Path, cells: Iterable[Cell]):
        """Looks for records of ``cells``, whatever their seed; no other is read."""
        wanted = {cell.file_name for cell in cells}
        self._records: dict[Any, Record] = {}
        """The latest of each cell, whatever its seed."""
        self._timings: dict[tuple[str, str], Timing] = {}
        """By session and task."""
        self._verified = verdict_cache.seconds(results / "verified")
        for session in itertools.islice(records.sessions(results), SESSIONS):
            for record in _readable(results, session, wanted):
                if facts_of(record.machine) == facts_of(machine()):
                    self._records.setdefault(record.cell.conditions.key, record)
                    wanted.discard(record.cell.file_name)
            with suppress(RequestError):  # they only tell how long
                found = timings.of_session(results, session).values()
                self._timings |= {(session, timing.label): timing for timing in found}
            if not wanted:
                break

    def knows(self, group: Sequence[Cell]) -> bool:
        """Tells if every cell has been trained before, and the task been verified."""
        trained = all(cell.conditions.key in self._records for cell in group)
        return trained and group[0].task_label in self._verified

    def verifying(self, group: Sequence[Cell]) -> float:
        """As long as it took last, whichever backends it was of."""
        return self._verified[group[0].task_label]

    def running(self, group: Sequence[Cell], limit: float) -> float:
        """The seconds of all phases; and of timing, if the same were timed together."""
        found = [self._records[cell.conditions.key] for cell in group]
        seconds = _start_and_work([r.phases for r in found], group[0].threads)
        timing = self._timings.get((found[0].session, group[0].task_label))
        together = timing and {r.cell.backend_label for r in found} == {
            c.name for c in timing.contestants
        }
        if not (timing and timing.ended and together):
            return seconds + limit
        lasted = datetime.fromisoformat(timing.ended) - datetime.fromisoformat(found[0].created)
        timed = lasted.total_seconds() - seconds
        return seconds + min(max(timed, 0.0), MOST * limit)


class _Typical:
    """Typical seconds of the quick profile, longer where the machine is slower."""

    basis = ELSEWHERE

    def __init__(self, attained: Callable[[Cell], float | None]):
        document = json.loads(TYPICAL.read_text(encoding="utf-8"))
        self._tasks: Mapping[str, Any] = document["tasks"]
        self._attained = attained

    def knows(self, group: Sequence[Cell]) -> bool:
        """Tells if all are cells of the quick profile in a backend of which figures are there."""
        plain = Conditions(task=group[0].task, variant=group[0].variant, data=group[0].data)
        there = self._tasks.get(group[0].task_label, {"cells": {}})["cells"]
        return all(
            cell.backend_label in there and cell.without("backend", "mode", "threads") == plain
            for cell in group
        )

    def verifying(self, group: Sequence[Cell]) -> float:
        """The seconds for all backends, which are verified side by side."""
        return self._slower(group[0]) * float(self._tasks[group[0].task_label]["verifying"])

    def running(self, group: Sequence[Cell], limit: float) -> float:
        """The seconds of all phases, and those of timing, which a slow machine does not prolong."""
        task = self._tasks[group[0].task_label]
        phases = [task["cells"][cell.backend_label] for cell in group]
        work = _start_and_work(phases, group[0].threads)
        return self._slower(group[0]) * work + min(float(task["timed"]), MOST * limit)

    def _slower(self, cell: Cell) -> float:
        matmul = float(self._tasks[cell.task_label]["matmul"])
        return matmul / (self._attained(cell) or matmul)


def figures(results: Path, session: str) -> dict[str, Any]:
    """The content of ``typical.json``, out of a session in which everything was verified."""
    verified = verdict_cache.seconds(results / "verified")
    trained = [records.read(path) for path in records.paths_of(results, session)]
    found: dict[str, Any] = {}
    for record in trained:
        rate = {"matmul": record.attainable["matmul"]}
        own = found.setdefault(record.cell.task_label, {**rate, "cells": {}})
        phases = {name: round(seconds, 2) for name, seconds in record.phases.items() if seconds}
        own["cells"][record.cell.backend_label] = phases
    for label, timing in timings.of_session(results, session).items():
        own = found[label]
        first = min(r.created for r in trained if r.cell.task_label == label)
        lasted = datetime.fromisoformat(timing.ended or "") - datetime.fromisoformat(first)
        work = _start_and_work([*own["cells"].values()], 1)
        own["timed"] = round(max(0.0, lasted.total_seconds() - work), 1)
        own["verifying"] = round(verified[label], 1)
    return {"tasks": found}


def _start_and_work(phases: Sequence[Mapping[str, float]], threads: int) -> float:
    """The seconds of workers that start several at once, and then take turns."""
    started = [sum(own.get(name, 0.0) for name in START) for own in phases]
    whole = sum(sum(own.values()) for own in phases)
    return max(max(started), sum(started) / at_once(threads)) + whole - sum(started)


def _readable(results: Path, session: str, names: Container[str]) -> Iterator[Record]:
    """The records of a session whose cells' files have these ``names``, and that can be read."""
    for path in records.paths_of(results, session):
        if path.stem.rpartition("-seed")[0] in names:
            with suppress(RequestError):  # they only tell how long
                yield records.read(path)
