"""The runs of sessions, below which those of their cells are nested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from suite.tracking import reading
from suite.tracking.entries import NOTED_TAG, PARENT_TAG, SESSION_TAG
from suite.tracking.errors import translated
from suite.tracking.reading import Head

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment


@dataclass(frozen=True)
class SessionRun:
    """A session's run, and the experiment in which it is."""

    experiment: Experiment
    head: Head
    """With the basis of its note among its tags."""


class SessionRuns:
    """Finds the runs of sessions. A database is read once, a server is asked for each."""

    def __init__(self, client: MlflowClient, uri: str, session: str | None):
        """Reads the runs of ``session`` alone, if it is given."""
        self._client, self._uri, self._session = client, uri, session
        self._experiments: dict[str, Experiment | None] = {}
        self._heads: dict[tuple[str, str | None], dict[str, Head]] = {}

    def find(self, task: str, session: str) -> SessionRun | None:
        """The run of a session in the task's experiment; TrackingError if the store fails."""
        with translated(self._uri):
            if task not in self._experiments:
                self._experiments[task] = self._client.get_experiment_by_name(task)
            if not (experiment := self._experiments[task]):
                return None
            head = self._of(experiment.experiment_id, session).get(session)
            return SessionRun(experiment, head) if head else None

    def _of(self, experiment: str, session: str) -> dict[str, Head]:
        everything = self._session is None and reading.database(self._client)
        own = None if everything else session
        if (experiment, own) not in self._heads:
            tags = (SESSION_TAG, PARENT_TAG, NOTED_TAG)
            heads = reading.heads(self._client, experiment, tags, own)
            self._heads[experiment, own] = {
                head.tags[SESSION_TAG]: head
                for head in reversed(heads)  # of several the latest
                if SESSION_TAG in head.tags and PARENT_TAG not in head.tags
            }
        return self._heads[experiment, own]
