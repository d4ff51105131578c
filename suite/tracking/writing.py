"""Runs into an MLflow store, each whole.

MLflow's client takes some fifty statements and ten transactions for a cell's run, and an object for
every entry. Into a database of MLflow's own schema (of which its client makes sure when it opens
one) a run goes in one transaction, with one statement for each table: it is there, or it is not. A
server is sent the same, piece by piece. ``tests/suite/test_writing.py`` holds that MLflow shows no
difference.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.tracking.entries import COMPLETE_TAG
from suite.tracking.reading import database

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Metric, Param
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

AT_ONCE = {"metrics": 900, "params": 90}
"""Entries that a server is sent in one call with the mark that all has arrived; it takes 1000 of
all kinds, and 100 parameters."""


@dataclass(frozen=True)
class NewRun:
    """A run as it is to be shown; times in milliseconds."""

    name: str
    status: str
    start: int
    end: int
    tags: dict[str, str]
    params: Sequence[Param] = ()
    metrics: Sequence[Metric] = ()
    """Every one once."""
    files: tuple[Path, ...] = ()
    marked: bool = True
    """To get ``COMPLETE_TAG`` once all of it is there."""


def write(client: MlflowClient, experiment: Experiment, run: NewRun) -> str:
    """Writes a run; its id."""
    if store := database(client):
        return _insert(store, experiment, run)
    own = client.create_run(
        experiment.experiment_id, start_time=run.start, tags=run.tags, run_name=run.name
    ).info.run_id
    for file in run.files:
        client.log_artifact(own, str(file))
    client.set_terminated(own, run.status, run.end)
    _log(client, own, run)
    return str(own)


def end(client: MlflowClient, run: str, at: int) -> None:
    """Tells the store that a run ended well, and when [ms]."""
    store = database(client)
    if not store:
        client.set_terminated(run, "FINISHED", at)
        return
    from mlflow.store.tracking.dbmodels.models import SqlRun
    from sqlalchemy import update

    with store.ManagedSessionMaker(read_only=False) as session:
        own = update(SqlRun).where(SqlRun.run_uuid == run)
        session.execute(own.values(status="FINISHED", end_time=at))


def tag(client: MlflowClient, run: str, tags: dict[str, str]) -> None:
    """Gives a run tags, all at once, in place of those that it has of the same names."""
    from mlflow.entities import RunTag
    from mlflow.store.tracking.dbmodels.models import SqlTag
    from mlflow.utils.validation import _validate_tag
    from sqlalchemy import delete, insert

    if not (store := database(client)):
        client.log_batch(run, tags=[RunTag(*pair) for pair in tags.items()])
        return
    checked = [
        _validate_tag(*pair)  # type: ignore[no-untyped-call]
        for pair in tags.items()
    ]
    rows = [{"run_uuid": run, "key": found.key, "value": found.value} for found in checked]
    with store.ManagedSessionMaker(read_only=False) as session:
        session.execute(delete(SqlTag).where(SqlTag.run_uuid == run, SqlTag.key.in_(tags)))
        session.execute(insert(SqlTag), rows)


def _log(client: MlflowClient, own: str, run: NewRun) -> None:
    """Sends the entries, and at last that they have arrived: MLflow writes tags last."""
    from mlflow.entities import RunTag

    complete = [RunTag(COMPLETE_TAG, "true")] if run.marked else []
    if len(run.metrics) > AT_ONCE["metrics"] or len(run.params) > AT_ONCE["params"]:
        client.log_batch(own, run.metrics, run.params)
        client.log_batch(own, tags=complete)
    else:
        client.log_batch(own, run.metrics, run.params, complete)


def _insert(store: SqlAlchemyStore, experiment: Experiment, run: NewRun) -> str:
    from mlflow.entities import RunTag
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.store.tracking.dbmodels import models
    from mlflow.utils.validation import _validate_batch_log_data
    from sqlalchemy import insert

    own = uuid.uuid4().hex
    place = f"{experiment.artifact_location.rstrip('/')}/{own}/artifacts"
    named = {**run.tags, "mlflow.runName": run.name}
    if run.marked:
        named[COMPLETE_TAG] = "true"
    checked = _validate_batch_log_data(  # type: ignore[no-untyped-call]
        run.metrics, run.params, [RunTag(*pair) for pair in named.items()]
    )
    repository = get_artifact_repository(place)
    for file in run.files:
        repository.log_artifact(str(file))  # type: ignore[no-untyped-call]
    metrics, params, tags = checked
    rows = [_row(store, metric) for metric in metrics]
    tables: list[tuple[Any, list[dict[str, Any]]]] = [
        (models.SqlTag, [{"key": tag.key, "value": tag.value} for tag in tags]),
        (models.SqlParam, [{"key": param.key, "value": param.value} for param in params]),
        (models.SqlMetric, rows),
        (models.SqlLatestMetric, _latest(rows)),
    ]
    with store.ManagedSessionMaker(read_only=False) as session:
        session.execute(insert(models.SqlRun).values(**_columns(own, experiment, place, run)))
        for model, entries in tables:
            if entries:
                session.execute(insert(model.__table__), [{"run_uuid": own, **e} for e in entries])
    return own


def _columns(own: str, experiment: Experiment, place: str, run: NewRun) -> dict[str, Any]:
    """A row of MLflow's ``runs``, as its client fills it."""
    nothing = dict.fromkeys(("source_name", "entry_point_name", "source_version"), "")
    return {
        **{"run_uuid": own, "experiment_id": int(experiment.experiment_id), "name": run.name},
        **{"artifact_uri": place},
        **{"user_id": "unknown", "source_type": "UNKNOWN", "lifecycle_stage": "active"},
        **{"status": run.status, "start_time": run.start, "end_time": run.end},
        **nothing,
    }


def _row(store: SqlAlchemyStore, metric: Metric) -> dict[str, Any]:
    missing, value = store.sanitize_metric_value(metric.value)
    times = {"timestamp": metric.timestamp, "step": metric.step}
    return {"key": metric.key, "value": value, "is_nan": missing, **times}


def _latest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last row of every metric, as MLflow orders them."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["step"], row["timestamp"], row["value"])):
        found[row["key"]] = row
    return [*found.values()]
