"""MLflow: an experiment per task, a parent run per session, a nested run per cell.

Everything is made from the record, after the timed work. A cell's run carries the tag
``tetragrad.complete`` once all of it has arrived, so a record that is sent again is there once.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

import tasks
from suite.records import record as records
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.specification import flat
from suite.system import environment
from suite.tracking.curves import draw_curves
from tasks import outside, paths

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

STATUS = {
    Outcome.OK: "FINISHED",
    **dict.fromkeys((Outcome.INTERRUPTED, Outcome.NOT_BEGUN, Outcome.SKIPPED), "KILLED"),
}
METRICS_PER_BATCH = 1_000
NONE = "none"
"""The address of no store at all."""
PATIENCE = 60.0
"""Seconds to wait for another process that sends records of the same folder."""
RECORD_TAG, SESSION_TAG, COMPLETE_TAG = (
    f"tetragrad.{name}" for name in ("record", "session", "complete")
)


class TrackingError(Exception):
    """MLflow could not be reached or refused; the record is safe on disk."""


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

    def try_log(self, record: Record, path: Path, say: Callable[[str], None]) -> str | None:
        """Sends a record; the run's id, or None after telling why not. Gives up for good then."""
        if self._silent:
            return None
        try:
            return self.log(record, path)[0]
        except TrackingError as error:
            self._silent = True
            say(f"not tracked: {error}; the records are kept, `tetragrad sync` sends them later")
            return None

    def log(self, record: Record, path: Path) -> tuple[str, bool]:
        """Sends a record unless all of it is there: its run's id, and whether it was sent now.

        One process at a time does so for a results folder: two would both find that it is missing.
        """
        with self._translated_errors(), FileLock(self._results / "tracking.lock", PATIENCE):
            run_id, complete = self._find(record)
            if complete:
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
        except Exception as error:
            first_line = next(iter(str(error).splitlines()), "")
            text = f"{self._uri}: {type(error).__name__}: {first_line}"
            raise TrackingError(without_secrets(text)) from error

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
            logging.getLogger(noisy).setLevel(logging.WARNING)
        return MlflowClient(self._uri)

    def _experiment(self, task: str) -> str:
        found = self._client.get_experiment_by_name(task)
        if found:
            return str(found.experiment_id)
        location = None  # a server decides for itself where its artifacts lie
        if not re.match(r"https?:|databricks", self._uri):
            location = (self._results.resolve() / "mlartifacts" / outside.plain(task)).as_uri()
        # else MLflow takes it for an experiment with language-model traces
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return str(self._client.create_experiment(task, artifact_location=location, tags=tags))

    def _search(self, experiment: str, tag: str, value: str) -> list[Run]:
        return list(self._client.search_runs([experiment], f"tags.`{tag}` = '{value}'"))

    def _find(self, record: Record) -> tuple[str, bool]:
        """The id of the record's run ("" if there is none) and whether it is complete."""
        key = f"{record.session}/{record.cell.label}"
        for run in self._search(self._experiment(record.cell.task), RECORD_TAG, key):
            same = run.info.start_time == _milliseconds(record)
            return run.info.run_id, same and COMPLETE_TAG in run.data.tags
        return "", False

    def find_session_run(self, experiment: str, session: str) -> str | None:
        """The id of a session's run in an experiment, whose id is given."""
        for run in self._search(experiment, SESSION_TAG, session):
            if "mlflow.parentRunId" not in run.data.tags:
                return str(run.info.run_id)
        return None

    def _session_run(self, experiment: str, record: Record) -> str:
        if there := self.find_session_run(experiment, record.session):
            return there
        cell = record.cell
        name = f"{record.session} {cell.profile} {cell.device} {cell.data}"
        run = self._client.create_run(
            experiment,
            start_time=_milliseconds(record),
            tags={SESSION_TAG: record.session, "profile": cell.profile, "data": cell.data},
            run_name=name,
        )
        return str(run.info.run_id)

    def _send(self, record: Record, path: Path) -> str:
        client, cell = self._client, record.cell
        experiment = self._experiment(cell.task)
        parent = self._session_run(experiment, record)
        variant = f"{cell.variant} " if cell.variant else ""
        verified = "" if record.verified else " (not verified)"
        run_id = str(
            client.create_run(
                experiment,
                start_time=_milliseconds(record),
                tags={"mlflow.parentRunId": parent, **_tags(record)},
                run_name=f"{variant}{cell.backend_label} seed {cell.seed}{verified}",
            ).info.run_id
        )
        client.log_batch(run_id, params=_params(record))
        metrics = list(_metrics(record))
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_BATCH])
        client.log_artifact(run_id, str(path))
        if record.chunks:
            with tempfile.TemporaryDirectory() as folder:
                picture = Path(folder) / "curves.png"
                draw_curves(record, picture)
                client.log_artifact(run_id, str(picture))
        end = _end(record)
        client.set_terminated(run_id, STATUS.get(record.outcome, "FAILED"), end)
        client.set_terminated(parent, "FINISHED", end)
        client.set_tag(run_id, COMPLETE_TAG, "true")
        return run_id


def sync(results: Path, tracker: Tracker, say: Callable[[str], None]) -> tuple[int, int]:
    """Sends every record under ``results`` that is not tracked yet: (sent, already there).

    TrackingError ends it; what was sent until then stays sent.
    """
    sent = there = 0
    for path in records.all_paths(results):
        _, new = tracker.log(records.read(path), path)
        if new:
            say(f"sent {path}")
            sent += 1
        else:
            there += 1
    return sent, there


def without_secrets(text: str) -> str:
    """``text`` with user, password and query values of every address in it struck out."""
    text = re.sub(r"//[^/\s]*@", "//***@", text)
    return re.sub(r"([?&][^=&\s]+=)[^&\s)'\"]+", r"\1***", text)


def _milliseconds(record: Record) -> int:
    return round(1000 * datetime.fromisoformat(record.created).timestamp())


def _end(record: Record) -> int:
    """When the cell ended [ms]; if that was not kept, when its phases alone would have."""
    if record.ended:
        return round(1000 * datetime.fromisoformat(record.ended).timestamp())
    return _milliseconds(record) + round(1000 * sum(record.phases.values()))


def _tags(record: Record) -> dict[str, str]:
    cell = record.cell
    return {
        RECORD_TAG: f"{record.session}/{cell.label}",
        SESSION_TAG: record.session,
        "outcome": record.outcome,
        "reason": record.reason or "",
        "verified": str(record.verified).lower(),
        "reading": str(record.reading or ""),
        "data": cell.data,
        "data.digest": record.provenance.get("digest", ""),
        "variant": cell.variant or "",
        "backend": cell.backend,
        "mode": cell.mode,
        "device": cell.device,
        "git.commit": str(record.git.get("commit")),
        "git.dirty": str(record.git.get("dirty")),
        "cpu": str(record.machine.get("cpu")),
        "python": str(record.machine.get("python")),
        "system": str(record.machine.get("system")),
        "threads.seen": str(record.worker.get("threads", {})),
        **{f"version.{k}": v for k, v in environment.computing(record.packages).items()},
    }


def _params(record: Record) -> list[Any]:
    from mlflow.entities import Param

    return [
        Param(k, str(v)) for k, v in {**asdict(record.cell), **flat(record.specification)}.items()
    ]


def _metrics(record: Record) -> Iterator[Metric]:
    """Curves, then last values.

    Every curve is there twice: by chunk's step or by epoch, and, as ``by_train_ms/<name>``, by the
    milliseconds of train until then (MLflow's steps are whole numbers). Timestamps advance with
    train time too, so that MLflow's relative-time axis is train time.
    """
    from mlflow.entities import Metric

    start = _milliseconds(record)

    def point(name: str, value: float, step: int, train_seconds: float) -> Iterator[Metric]:
        elapsed = round(1000 * train_seconds)
        yield Metric(name, value, start + elapsed, step)
        yield Metric(f"by_train_ms/{name}", value, start + elapsed, elapsed)

    step, elapsed = 0, 0.0
    for chunk in record.chunks:
        step += len(chunk["losses"])
        elapsed += chunk["seconds"]
        mean = sum(chunk["losses"]) / len(chunk["losses"])
        yield from point("train_loss_per_chunk", mean, step, elapsed)
    for epoch in record.epochs:
        for name, value in epoch["metrics"].items():
            yield from point(name, value, epoch["epoch"], epoch["train_seconds"])
    for name, value in _summary(record).items():
        yield Metric(name, value, start + round(1000 * elapsed), 0)


def _of_best_epoch(record: Record) -> dict[str, float]:
    """With early stopping, the trained model's metrics: MLflow shows the last epoch's as final."""
    if not record.stopped:
        return {}
    return {f"best_epoch/{name}": value for name, value in record.metrics.items()}


def _summary(record: Record) -> dict[str, float]:
    speed = record.throughput
    name = record.unit.replace("/s", "_per_second")
    summary = {
        name: speed["median"],
        f"{name}_low": speed["low"],
        f"{name}_high": speed["high"],
        "efficiency": record.efficiency if record.verified else None,
        "time_to_target_seconds": record.time_to_target,
        "epochs_to_target": record.epochs_to_target,
        **_of_best_epoch(record),
        "peak_memory_bytes": record.memory.get("peak"),
        **{f"phase_seconds/{phase}": value for phase, value in record.phases.items()},
    }
    return {k: float(v) for k, v in summary.items() if v is not None}
