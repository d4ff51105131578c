"""MLflow: an experiment per task, a parent run per session, a nested run per cell.

Everything is made from the record, after the timed work. A cell's run carries the tag
``tetragrad.complete`` once all of it has arrived, so a record that is sent again is there once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

import tasks
from suite.records import record as records, timing as timings
from suite.records.events import Outcome
from suite.records.record import Record
from suite.tracking import entries
from suite.tracking.curves import draw_curves
from suite.tracking.entries import COMPLETE_TAG, RECORD_TAG, SESSION_TAG
from suite.tracking.remedies import LATER, remedy
from tasks import outside, paths
from tasks.task import RequestError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STATUS = {
    Outcome.OK: "FINISHED",
    **dict.fromkeys((Outcome.INTERRUPTED, Outcome.NOT_BEGUN, Outcome.SKIPPED), "KILLED"),
}
METRICS_PER_BATCH = 1_000
PARENT_TAG = "mlflow.parentRunId"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
OPENING = 300.0
"""Seconds to wait for another process that makes a store's tables."""
NONE = "none"
"""The address of no store at all."""
PATIENCE = 60.0
"""Seconds to wait for another process that sends records of the same folder."""


class TrackingError(Exception):
    """MLflow could not be reached or refused; the record is safe on disk."""


class ExperimentDeleted(TrackingError):
    """A task's experiment was deleted by hand: nothing can be sent there, but to others."""


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
        if self._silent:
            return None
        try:
            return self.log(record, path)[0]
        except TrackingError as error:
            self._silent = True
            later = self.command("sync")
            say(f"not tracked: {error}; the records are kept, `{later}` sends them later")
            return None

    def log(self, record: Record, path: Path) -> tuple[str, bool]:
        """Sends a record unless all of it is there: its run's id, and whether it was sent now.

        One process at a time does so for a results folder: two would both find that it is missing.
        """
        with self._translated_errors(), FileLock(self._results / "tracking.lock", PATIENCE):
            run_id, complete = self._find(record)
            if complete:
                self._mend_parent(run_id, record)
                return run_id, False
            if run_id:  # an attempt that broke off, or the cell before it was run again
                self._client.delete_run(run_id)
            return self._send(record, path), True

    def log_report(self, found: Iterable[Record], paths: Iterable[Path]) -> list[str]:
        """Adds files as ``report/`` to the runs of the records' sessions, one in each task.

        Returns what has no such run yet, in words. TrackingError as for ``log``.
        """
        files, missing = list(paths), []
        with self._translated_errors():
            for task, session in dict.fromkeys((r.cell.task, r.session) for r in found):
                experiment = self._client.get_experiment_by_name(task)
                run = experiment and self.find_session_run(experiment.experiment_id, session)
                if not run:
                    missing.append(f"{task} in session {session}")
                    continue
                for path in files:
                    self._client.log_artifact(run, str(path), "report")
        return missing

    @contextmanager
    def connection(self) -> Iterator[MlflowClient]:
        """The store's client, and the store as that of MLflow's own functions.

        Whatever it raises becomes a TrackingError.
        """
        with self._translated_errors():
            client = self._client
            import mlflow  # slow to import

            mlflow.set_tracking_uri(self._uri)
            yield client

    def experiments(self) -> dict[str, str]:
        """The ids of our experiments, by task. TrackingError as for ``log``."""
        with self._translated_errors():
            found = self._client.search_experiments()
        return {e.name: e.experiment_id for e in found if tasks.is_known(e.name)}

    def fetch_record(self, run: str, folder: Path) -> Path | None:
        """Brings the record that a cell's run keeps into ``folder``; None if it keeps none.

        TrackingError as for ``log``, or if there is no such run.
        """
        with self._translated_errors():
            names = [artifact.path for artifact in self._client.list_artifacts(run)]
            for name in names:
                if name.endswith(".json"):
                    return Path(self._client.download_artifacts(run, name, str(folder)))
        return None

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """MLflow's stores raise errors of many libraries: they all become TrackingError."""
        try:
            yield
        except TrackingError:
            raise
        except Exception as error:
            first_line = next(iter(str(error).splitlines()), "")
            said = f"{self._uri}: {type(error).__name__}: {first_line}"
            told = "; ".join(filter(None, (said, remedy(self._uri, str(error)))))
            raise TrackingError(without_secrets(told)) from error

    @cached_property
    def _client(self) -> MlflowClient:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # it would print the address, password and all, where `run --json` prints its document
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
        from mlflow import MlflowClient  # slow to import

        for noisy in ("alembic", "mlflow"):
            logging.getLogger(noisy).setLevel(logging.ERROR)  # ours says it, once
        with self._opening():
            return MlflowClient(self._uri)

    def _opening(self) -> AbstractContextManager[object]:
        """Held while a database is opened: its tables are made then, and two at once both fail.

        For the processes of this machine: where the file of a database lies, or by its address.
        """
        if (
            not (found := re.match(r"(\w+)(?:\+\w+)?://[^?]*", self._uri))
            or found[1] not in DATABASES
        ):
            return nullcontext()
        name = hashlib.sha256(found[0].encode()).hexdigest()[:16]
        place = Path(tempfile.gettempdir()) / f"tetragrad-{name}.lock"
        if file := re.fullmatch(r"sqlite:///(.+)", found[0]):
            place = Path(f"{file[1]}.lock")
        return FileLock(place, OPENING) if os.access(place.parent, os.W_OK) else nullcontext()

    def _experiment(self, task: str) -> str:
        found = self._client.get_experiment_by_name(task)
        if found and found.lifecycle_stage == "deleted":
            raise ExperimentDeleted(
                f"{without_secrets(self._uri)}: the experiment {task!r} was deleted: restore it "
                f"(`mlflow experiments restore --experiment-id {found.experiment_id}`), or name "
                f"another store with --tracking{LATER}"
            )
        if found:
            return str(found.experiment_id)
        location = None  # a server decides for itself where its artifacts lie
        if not re.match(r"https?:|databricks", self._uri):
            location = (self._results.resolve() / "mlartifacts" / outside.plain(task)).as_uri()
        # else MLflow takes it for an experiment with language-model traces
        tags = {"mlflow.experimentKind": "custom_model_development"}
        try:
            return str(self._client.create_experiment(task, artifact_location=location, tags=tags))
        except Exception:  # another process may have been faster
            there = self._client.get_experiment_by_name(task)
            if there and there.lifecycle_stage == "active":
                return str(there.experiment_id)
            raise

    def _search(self, experiment: str, tag: str, value: str) -> list[Run]:
        return list(self._client.search_runs([experiment], f"tags.`{tag}` = '{value}'"))

    def _find(self, record: Record) -> tuple[str, bool]:
        """The id of the record's run ("" if there is none) and whether it is complete."""
        key = f"{record.session}/{record.cell.label}"
        for run in self._search(self._experiment(record.cell.task), RECORD_TAG, key):
            same = run.info.start_time == entries.milliseconds(record)
            return run.info.run_id, same and COMPLETE_TAG in run.data.tags
        return "", False

    def _mend_parent(self, run_id: str, record: Record) -> None:
        """Puts a cell's run below its session's run, should that have been deleted by hand."""
        parent = self._session_run(self._experiment(record.cell.task), record)
        if self._client.get_run(run_id).data.tags.get(PARENT_TAG) != parent:
            self._client.set_tag(run_id, PARENT_TAG, parent)

    def find_session_run(self, experiment: str, session: str) -> str | None:
        """The id of a session's run in an experiment, whose id is given."""
        for run in self._search(experiment, SESSION_TAG, session):
            if PARENT_TAG not in run.data.tags:
                return str(run.info.run_id)
        return None

    def _session_run(self, experiment: str, record: Record) -> str:
        if there := self.find_session_run(experiment, record.session):
            return there
        cell = record.cell
        name = f"{record.session} {cell.profile} {cell.device} {cell.data}"
        run = self._client.create_run(
            experiment,
            start_time=entries.milliseconds(record),
            tags={SESSION_TAG: record.session, "profile": cell.profile, "data": cell.data},
            run_name=name,
        )
        return str(run.info.run_id)

    def _send(self, record: Record, path: Path) -> str:
        client, cell = self._client, record.cell
        experiment = self._experiment(cell.task)
        parent = self._session_run(experiment, record)
        run_id = str(
            client.create_run(
                experiment,
                start_time=entries.milliseconds(record),
                tags={PARENT_TAG: parent, **entries.tags_of(record)},
                run_name=entries.run_name(record),
            ).info.run_id
        )
        client.log_batch(run_id, params=entries.params_of(record))
        metrics = list(entries.metrics_of(record))
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_BATCH])
        client.log_artifact(run_id, str(path))
        if record.chunks:
            with tempfile.TemporaryDirectory() as folder:
                picture = Path(folder) / "curves.png"
                draw_curves(record, picture)
                client.log_artifact(run_id, str(picture))
        end = entries.ended(record)
        client.set_terminated(run_id, STATUS.get(record.outcome, "FAILED"), end)
        client.set_terminated(parent, "FINISHED", end)
        client.set_tag(run_id, COMPLETE_TAG, "true")
        return run_id


def sync(results: Path, tracker: Tracker, say: Callable[[str], None]) -> tuple[int, int]:
    """Sends every record under ``results`` that is not tracked yet: (sent, already there).

    TrackingError ends it; what was sent until then stays sent. It comes last where experiments
    were deleted: the records of the others are sent all the same.
    """
    sent = there = 0
    refused: dict[str, None] = {}
    for path in records.all_paths(results):
        try:
            _, new = tracker.log(_read(results, path), path)
        except ExperimentDeleted as error:
            refused[str(error)] = None
            continue
        if new:
            say(f"sent {path}")
            sent += 1
        else:
            there += 1
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


def without_secrets(text: str) -> str:
    """``text`` with user, password and query values of every address in it struck out."""
    text = re.sub(r"//[^/\s]*@", "//***@", text)
    return re.sub(r"([?&][^=&\s]+=)[^&\s)'\"]+", r"\1***", text)
