"""The home of a fleet's results: what comes from nodes is kept here, each once."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import tasks
from suite.fleet import node as nodes
from suite.fleet.dispatch import Work
from suite.fleet.loop import Files, Incomplete
from suite.records import record as records, timing as timings
from suite.records.cell import Cell
from suite.records.machines import facts_of, text_of
from suite.records.record import Record
from suite.records.timing import Timing
from suite.session import store
from suite.session.plan import Plan
from suite.session.reporter import Reporter
from suite.system.files import replaced, write_text
from suite.tracking.tracker import Tracker
from tasks.paths import because
from tasks.task import RequestError

TURN = 2.0
"""Seconds for which nodes may have to wait, while records are sent to MLflow."""
VERDICTS = 64
"""So many verdicts on a task are sent to a node, at most: the latest."""


@dataclass(frozen=True)
class Comparison:
    """The cells of a task and a seed, which are compared."""

    choice: tasks.Choice
    seed: int
    cells: tuple[Cell, ...]


class Results:
    """Keeps answers in a folder of results and sends them to MLflow.

    ``comparisons`` are those of the session by their work, ``earlier`` its records of before by
    cell label.
    """

    def __init__(
        self,
        plan: Plan,
        session: str,
        results: Path,
        tracker: Tracker,
        reporter: Reporter,
        comparisons: Mapping[Work, Comparison],
        earlier: Mapping[str, Record],
    ):
        self.records: dict[str, Record] = {}
        """Those that came home, by cell label."""
        self.runs: dict[str, str] = {}
        """MLflow's runs by cell label."""
        self._plan, self._session, self._results = plan, session, results
        self._tracker, self._reporter = tracker, reporter
        self._comparisons, self._earlier = comparisons, earlier
        self._to_track: deque[tuple[Record, Path]] = deque()
        self._attained: dict[str, bytes] = {}
        """By kind of machine, as nodes write it."""
        self._verdicts: dict[tuple[str, str], dict[str, bytes]] = {}
        """By kind of machine and task, files by path."""
        self._sent: set[tuple[str, str]] = set()
        """Nodes and tasks whose verdicts they have got."""
        self._parts = results / "timings" / session / "parts"

    def files_for(self, node: str, work: Work, kind: str) -> dict[str, bytes]:
        """The files that a node needs for a work."""
        first = work if work.seed is not None else self._first(work.task)
        own = self._comparisons[first]
        plan = replace(
            self._plan,
            choices=(own.choice,),
            seeds=range(own.seed, own.seed + 1),
            data=own.cells[0].data,
        )
        files = {f"sessions/{self._session}.json": store.text_of(plan).encode()}
        if kind in self._attained:
            files[nodes.ATTAINED] = self._attained[kind]
        if (node, work.task) not in self._sent:
            self._sent.add((node, work.task))
            files |= self._known_verdicts(kind, work.task)
        if work.seed is None:
            return files | {nodes.PREPARE: b""}
        for cell in own.cells:
            if record := self._earlier.get(cell.label):
                path = records.path_of(self._results, record)
                files[str(path.relative_to(self._results))] = path.read_bytes()
        return files

    def _first(self, task: str) -> Work:
        return next(work for work in self._comparisons if work.task == task)

    def take(self, node: str, work: Work, kind: str, files: Files) -> None:
        """Keeps an answer: the timing first, then its records. Raises Incomplete and NotWritten."""
        if kind:
            self._learn(kind, work.task, files)
        if work.seed is None:
            return
        own = self._comparisons[work]
        found = [self._record(cell, files) for cell in own.cells]
        try:
            self._keep_timing(work, files)
            for record, content in found:
                if content is not None:
                    self._keep(record, content)
        except OSError as error:
            raise records.NotWritten(f"the records of {work} {because(error)}") from None
        for line in json.loads(files.get(nodes.SAID, b"[]")):
            self._reporter.say(line)

    def _record(self, cell: Cell, files: Files) -> tuple[Record, bytes | None]:
        """The record of a cell, and its file's content; None if it lies here already."""
        content = files.get(f"records/{self._session}/{cell.label}.json")
        if content is None:
            if cell.label in self._earlier:
                return self._earlier[cell.label], None
            raise Incomplete(f"it brought no record of {cell.label}")
        try:
            record = records.parse(content, Path(f"{cell.label}.json"))
        except RequestError as error:
            raise Incomplete(str(error)) from None
        if (record.session, record.cell) != (self._session, cell):
            raise Incomplete(f"the record of {cell.label} is that of {record.cell.label}")
        return record, content

    def _keep(self, record: Record, content: bytes) -> None:
        path = records.path_of(self._results, record)
        with replaced(path) as file:
            file.write(content)
        self.add(record)
        self._reporter.cell_finished(record)
        if record.timed:
            self._reporter.cell_timed(record)

    def add(self, record: Record) -> None:
        """Takes a record that lies here, and sends it to MLflow when there is time."""
        self.records[record.cell.label] = record
        self._to_track.append((record, records.path_of(self._results, record)))

    def _keep_timing(self, work: Work, files: Files) -> None:
        """Keeps the rounds of a comparison by themselves: ``close`` joins them.

        To write all rounds anew with each comparison would take longer each time.
        """
        for name, content in files.items():
            if name.startswith("timings/"):
                with replaced(self._parts / f"{Path(name).stem}-seed{work.seed}.json") as file:
                    file.write(content)

    def _learn(self, kind: str, task: str, files: Files) -> None:
        """Keeps for further nodes of the kind the things that they need not find out again."""
        if nodes.ATTAINED in files:
            self._attained[kind] = files[nodes.ATTAINED]
        new = {n: own for n, own in files.items() if n.startswith("verified/") and n.count("/") < 2}
        if not new:
            return
        known = self._verdicts[kind, task] = self._known_verdicts(kind, task) | new
        with suppress(OSError):  # it only saves time
            for name, content in new.items():
                with replaced(self._results / "verified" / Path(name).name) as file:
                    file.write(content)
            names = [Path(name).name for name in known][-VERDICTS:]
            write_text(self._index(kind, task), json.dumps(names))

    def _known_verdicts(self, kind: str, task: str) -> dict[str, bytes]:
        """Those of this session and earlier ones; one that does not hold any more does no harm."""
        if (kind, task) not in self._verdicts:
            found = self._verdicts[kind, task] = {}
            with suppress(OSError, ValueError):  # there is none yet
                folder = self._results / "verified"
                for name in json.loads(self._index(kind, task).read_bytes()):
                    found[f"verified/{name}"] = (folder / name).read_bytes()
        return self._verdicts[kind, task]

    def _index(self, kind: str, task: str) -> Path:
        """The file that names the verdicts on a task on a kind of machine."""
        digest = hashlib.sha256(f"{kind}\0{task}".encode()).hexdigest()[:32]
        return self._results / "verified" / "fleet" / f"{digest}.json"

    def spare(self) -> None:
        """Sends records to MLflow, but for no longer than nodes may wait."""
        self._send(TURN)

    def _send(self, seconds: float) -> None:
        if not self._to_track:
            return
        end = time.monotonic() + seconds

        def some() -> Iterator[tuple[Record, Path]]:
            while self._to_track and time.monotonic() < end:
                yield self._to_track.popleft()

        self.runs |= self._tracker.try_log_all(self._session, some(), self._reporter.say)

    def close(self) -> dict[str, Timing]:
        """Sends the rest to MLflow, and joins the rounds of each task on each kind of machine.

        Returns the timings by title. Raises NotWritten.
        """
        while self._to_track and not self._tracker.silent:
            self._send(float("inf"))
        if self._parts.is_dir():
            for timing in joined(self._parts):
                timings.write(self._results, timing)
        return timings.of_session(self._results, self._session)

    def open(self) -> None:
        """Lets rounds count that a session kept before it was a fleet's."""
        if not self._parts.exists():
            for path in self._parts.parent.glob("*.json"):
                self._parts.mkdir(exist_ok=True)
                shutil.copy(path, self._parts / f"{path.stem}-before.json")


def joined(parts: Path) -> Iterator[Timing]:
    """The timings of a session whose comparisons are in a folder: by task and kind of machine.

    The one with the most rounds has the task's name, others that of their machine besides.
    """
    paths = sorted(parts.glob("*.json"))
    for _, own in groupby(paths, key=lambda path: path.stem.rpartition("-")[0]):
        by_kind: dict[str, list[Timing]] = {}
        for timing in _readable(own):
            by_kind.setdefault(text_of(facts_of(timing.host)), []).append(timing)
        found = {kind: timings.joined_all(group) for kind, group in by_kind.items()}
        order = sorted(found, key=lambda kind: -len(found[kind].samples))
        for place, kind in enumerate(order):
            digest = hashlib.sha256(kind.encode()).hexdigest()[:8] if place else ""
            yield replace(found[kind], other_machine=digest)


def _readable(paths: Iterable[Path]) -> Iterator[Timing]:
    for path in paths:
        with suppress(RequestError):  # damaged: the speed in its records stays
            yield timings.read(path)
