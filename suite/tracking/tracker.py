"""MLflow: an experiment per task, a parent run per session, a nested run per cell.

Everything is made from the record, after the timed work. A cell's run carries the tag
``tetragrad.complete`` once all of it has arrived, so a record that is sent again is there once.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

import tasks
from suite.records import record as records, timing as timings
from suite.records.record import Record
from suite.tracking.errors import ExperimentDeleted, TrackingError, translated, without_secrets
from suite.tracking.opening import open_store
from suite.tracking.sender import Sender
from suite.tracking.session_runs import SessionRuns
from tasks import paths
from tasks.task import RequestError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

NONE = "none"
"""The address of no store at all."""
PATIENCE = 60.0
"""Seconds to wait for another process that sends records of the same folder."""
TURN, PAUSE = 3.0, 0.1
"""Seconds for which ``sync`` keeps others waiting at a time, and in which they can begin."""

Log = Callable[[Record, Path], tuple[str, bool]]
"""Sends a record unless all of it is there: its run's id, and whether it was sent now."""


def default_uri(results: Path) -> str:
    """The store that is used unless another is named: SQLite under ``results``."""
    return f"sqlite:///{results.resolve() / 'mlflow.db'}"


def uri_given(text: str) -> str | None:
    """The store that a user names, None if empty; ``~`` in a file's place is as in other paths."""
    if match := re.fullmatch(r"(sqlite:///|file:(?://)?|)(~.*)", text):
        return f"{match[1]}{paths.given(match[2])}"
    return text or None


def has_store(uri: str, results: Path) -> bool:
    """Tells if there may be a store; looking into a file that is not there would make one."""
    if uri == default_uri(results):
        return (results / "mlflow.db").exists()
    return uri != NONE


class Tracker:
    """Sends records to an MLflow store."""

    def __init__(self, uri: str, results: Path):
        self._uri, self._results = uri, results
        self._silent = uri == NONE

    @property
    def silent(self) -> bool:
        """Tells if it sends nothing, having no store or having given up."""
        return self._silent

    def command(self, name: str) -> str:
        """A command of ours on this store, as a user types it; a password is struck out of it."""
        own = (default_uri(self._results), os.environ.get("MLFLOW_TRACKING_URI"))
        asked = "" if self._uri in own else without_secrets(self._uri)
        store = f" --tracking-uri {shlex.quote(asked)}" if asked else ""
        return f"tetragrad {name}{records.elsewhere(self._results)}{store}"

    def try_log(self, record: Record, path: Path, say: Callable[[str], None]) -> str | None:
        """Sends a record; the run's id, or None after telling why not. Gives up for good then."""
        return self.try_log_all(record.session, [(record, path)], say).get(record.cell.label)

    def try_log_all(
        self,
        session: str,
        found: Iterable[tuple[Record, Path]],
        say: Callable[[str], None],
    ) -> dict[str, str]:
        """Sends records of one session: the runs' ids by cell label. It may give up as above."""
        runs: dict[str, str] = {}
        if self._silent:
            return runs
        try:
            with self.sending(session) as log:
                for record, path in found:
                    runs[record.cell.label] = log(record, path)[0]
        except TrackingError as error:
            self._silent = True
            later = self.command("sync")
            say(f"not tracked: {error}; the records are kept, `{later}` sends them later")
        return runs

    def log(self, record: Record, path: Path) -> tuple[str, bool]:
        """Sends a record unless all of it is there: its run's id, and whether it was sent now."""
        with self.sending(record.session) as log:
            return log(record, path)

    @contextmanager
    def sending(self, session: str | None = None) -> Iterator[Log]:
        """Sends many records, of ``session`` alone if it is given; TrackingError as for ``log``.

        One process at a time does so for a results folder: two would both find that a record is
        missing.
        """
        lock = FileLock(self._results / "tracking.lock", PATIENCE)
        with translated(self._uri):
            lock.acquire()
        try:
            with translated(self._uri):
                sender = Sender(self._client, self._uri, self._results / "mlartifacts", session)

            def log(record: Record, path: Path) -> tuple[str, bool]:
                with translated(self._uri):
                    return sender.log(record, path)

            yield log
            with translated(self._uri):
                sender.close()
        finally:
            lock.release()

    def log_report(self, found: Iterable[Record], paths: Iterable[Path]) -> list[str]:
        """Adds files as ``report/`` to the runs of the records' sessions, one in each task.

        Returns what has no such run yet, in words. TrackingError as for ``log``.
        """
        files, missing = list(paths), []
        with translated(self._uri):
            for task, session in dict.fromkeys((r.cell.task, r.session) for r in found):
                run = self.session_runs(session).find(task, session)
                if not run:
                    missing.append(f"{task} in session {session}")
                    continue
                for path in files:
                    self._client.log_artifact(run.head.id, str(path), "report")
        return missing

    def session_runs(self, session: str | None = None) -> SessionRuns:
        """The runs of sessions, or of one session. TrackingError as for ``log``."""
        with translated(self._uri):
            return SessionRuns(self._client, self._uri, session)

    @contextmanager
    def connection(self) -> Iterator[MlflowClient]:
        """The store's client, and the store as that of MLflow's own functions.

        Whatever it raises becomes a TrackingError.
        """
        with translated(self._uri):
            client = self._client
            import mlflow  # slow to import

            mlflow.set_tracking_uri(self._uri)
            yield client

    def experiments(self) -> dict[str, Experiment]:
        """Our experiments, by task. TrackingError as for ``log``."""
        with translated(self._uri):
            found = self._client.search_experiments()
        return {e.name: e for e in found if tasks.is_known(e.name)}

    def fetch_record(self, run: str, folder: Path) -> Path | None:
        """Brings the record that a cell's run keeps into ``folder``; None if it keeps none.

        TrackingError as for ``log``, or if there is no such run.
        """
        with translated(self._uri):
            names = [artifact.path for artifact in self._client.list_artifacts(run)]
            for name in names:
                if name.endswith(".json"):
                    return Path(self._client.download_artifacts(run, name, str(folder)))
        return None

    @cached_property
    def _client(self) -> MlflowClient:
        return open_store(self._uri)


def sync(
    results: Path,
    tracker: Tracker,
    say: Callable[[str], None],
    passed: Callable[[Record], None] = lambda record: None,
) -> tuple[int, int]:
    """Sends every record under ``results`` that is not tracked yet: (sent, already there).

    ``passed`` is given each of them, once it is there.
    TrackingError ends it; what was sent until then stays sent. It comes last where experiments
    were deleted: the records of the others are sent all the same.
    """
    sent = there = 0
    refused: dict[str, None] = {}
    paths, left = records.all_paths(results), True
    while left:
        with tracker.sending() as log:
            begin = time.monotonic()
            left = False
            for path in paths:
                record = _read(results, path)
                try:
                    _, new = log(record, path)
                except ExperimentDeleted as error:
                    refused[str(error)] = None
                    continue
                passed(record)
                sent, there = sent + new, there + (not new)
                if new:
                    say(f"sent {path}")
                if left := time.monotonic() - begin > TURN:
                    break
        time.sleep(PAUSE if left else 0)
    if refused:
        raise TrackingError("; ".join(refused))
    return sent, there


def _read(results: Path, path: Path) -> Record:
    """A record; its speed, if it was written before records had it, is its session's timing's."""
    record = records.read(path)
    if record.timed is None:
        with suppress(RequestError):  # a damaged timing: the notes tell of it
            timing = timings.of_session(results, record.session).get(record.cell.task_label)
            record.timed = timing.told(record.cell.backend_label) if timing else None
    return record
