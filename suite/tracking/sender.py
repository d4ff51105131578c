"""Records on their way to an MLflow store, while no other process of ours sends to it."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from suite.records.events import Outcome
from suite.records.record import Record
from suite.tracking import entries, reading, writing
from suite.tracking.curves import draw_curves
from suite.tracking.entries import COMPLETE_TAG, PARENT_TAG, RECORD_TAG, SESSION_TAG
from suite.tracking.errors import ExperimentDeleted, without_secrets
from suite.tracking.reading import Head
from suite.tracking.remedies import LATER
from suite.tracking.writing import NewRun
from tasks import outside

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

FINISHED = "FINISHED"
STATUS = {
    Outcome.OK: FINISHED,
    **dict.fromkeys((Outcome.INTERRUPTED, Outcome.NOT_BEGUN, Outcome.SKIPPED), "KILLED"),
}
TAGS = (RECORD_TAG, SESSION_TAG, COMPLETE_TAG, PARENT_TAG)


class _There:
    """The runs that an experiment has: of cells by their records, of sessions by their ids."""

    def __init__(self, heads: list[Head]):
        self.cells: dict[str, Head] = {}
        self.sessions: dict[str, Head] = {}
        for head in reversed(heads):  # of several the latest
            if record := head.tags.get(RECORD_TAG):
                self.cells[record] = head
            elif SESSION_TAG in head.tags and PARENT_TAG not in head.tags:
                self.sessions[head.tags[SESSION_TAG]] = head


class Sender:
    """Sends records that a store has not yet.

    It reads what is there once: all of it from a database, from a server session by session. So it
    is right as long as nobody else sends, which is for its caller to see to (``Tracker.sending``).
    All of its methods raise whatever MLflow raises, and ExperimentDeleted.
    """

    def __init__(self, client: MlflowClient, uri: str, artifacts: Path, session: str | None = None):
        """Records of ``session`` alone, if it is given, of which alone then is read.

        New experiments have ``artifacts`` for their files, unless a server decides on that.
        """
        self._client, self._uri, self._artifacts = client, uri, artifacts
        self._at_once = session is None and bool(reading.database(client))
        self._experiments: dict[str, Experiment] = {}
        self._there: dict[tuple[str, str | None], _There] = {}
        self._ends: dict[str, tuple[Head, int]] = {}
        """By the runs of sessions when the last of their cells ended, which is told by ``close``"""

    def log(self, record: Record, path: Path) -> tuple[str, bool]:
        """Sends a record unless all of it is there: its run's id, and whether it was sent now."""
        experiment = self.experiment(record.cell.task)
        there = self._of(experiment, record.session)
        key = f"{record.session}/{record.cell.label}"
        parent = self._session_run(experiment, there, record)
        head = there.cells.get(key)
        if head and COMPLETE_TAG in head.tags and head.start == entries.milliseconds(record):
            if head.tags.get(PARENT_TAG) != parent:  # that was deleted by hand
                self._client.set_tag(head.id, PARENT_TAG, parent)
            return head.id, False
        if head:  # an attempt that broke off, or the cell before it was run again
            self._client.delete_run(head.id)
        run = self._send(experiment, parent, record, path)
        tags = {COMPLETE_TAG: "true", PARENT_TAG: parent}
        there.cells[key] = Head(run, entries.milliseconds(record), None, FINISHED, tags)
        return run, True

    def close(self) -> None:
        """Tells the store when sessions ended whose cells have passed here."""
        for run, (head, end) in self._ends.items():
            if head.status != FINISHED or (head.end or 0) < end:
                writing.end(self._client, run, end)
        self._ends.clear()

    def experiment(self, task: str) -> Experiment:
        """A task's experiment, which is made if need be."""
        if task not in self._experiments:
            self._experiments[task] = self._find_experiment(task)
        return self._experiments[task]

    def _find_experiment(self, task: str) -> Experiment:
        found = self._client.get_experiment_by_name(task)
        if found and found.lifecycle_stage == "deleted":
            raise ExperimentDeleted(
                f"{without_secrets(self._uri)}: the experiment {task!r} was deleted: restore it "
                f"(`mlflow experiments restore --experiment-id {found.experiment_id}`), or name "
                f"another store with --tracking{LATER}"
            )
        if found:
            return found
        location = None  # a server decides for itself where its artifacts lie
        if not re.match(r"https?:|databricks", self._uri):
            location = (self._artifacts.resolve() / outside.plain(task)).as_uri()
        # else MLflow takes it for an experiment with language-model traces
        tags = {"mlflow.experimentKind": "custom_model_development"}
        try:
            own = self._client.create_experiment(task, artifact_location=location, tags=tags)
            return self._client.get_experiment(own)
        except Exception:  # another process may have been faster
            there = self._client.get_experiment_by_name(task)
            if there and there.lifecycle_stage == "active":
                return there
            raise

    def _of(self, experiment: Experiment, session: str) -> _There:
        own = None if self._at_once else session
        key = experiment.experiment_id, own
        if key not in self._there:
            heads = reading.heads(self._client, experiment.experiment_id, TAGS, own)
            self._there[key] = _There(heads)
        return self._there[key]

    def _session_run(self, experiment: Experiment, there: _There, record: Record) -> str:
        """The id of a session's run, which is made if need be."""
        if not (head := there.sessions.get(record.session)):
            cell, start = record.cell, entries.milliseconds(record)
            tags = {SESSION_TAG: record.session, "profile": cell.profile, "data": cell.data}
            run = writing.write(
                self._client,
                experiment,
                NewRun(
                    name=f"{record.session} {cell.profile} {cell.device} {cell.data}",
                    status=FINISHED,
                    start=start,
                    end=entries.ended(record),
                    tags=tags,
                    marked=False,
                ),
            )
            head = Head(run, start, entries.ended(record), FINISHED, tags)
            there.sessions[record.session] = head
        _, end = self._ends.get(head.id, (head, 0))
        self._ends[head.id] = head, max(end, entries.ended(record))
        return head.id

    def _send(self, experiment: Experiment, parent: str, record: Record, path: Path) -> str:
        run = NewRun(
            name=entries.run_name(record),
            status=STATUS.get(record.outcome, "FAILED"),
            start=entries.milliseconds(record),
            end=entries.ended(record),
            tags={PARENT_TAG: parent, **entries.tags_of(record)},
            params=entries.params_of(record),
            metrics=list(dict.fromkeys(entries.metrics_of(record))),
            files=(path,),
        )
        if not record.chunks:
            return writing.write(self._client, experiment, run)
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "curves.png"
            draw_curves(record, picture)
            return writing.write(self._client, experiment, replace(run, files=(path, picture)))
