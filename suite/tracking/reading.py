"""Runs out of an MLflow store, as many as there are: by columns alone where it is a database.

``search_runs`` makes an object of every parameter, tag and metric of every run, some hundred for a
cell. From a database of MLflow's own schema (of which its client makes sure when it opens one) the
columns that are wanted are read, for all runs at once. A server is asked for runs, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from suite.tracking.entries import SESSION_TAG

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


@dataclass(frozen=True)
class Head:
    """A run without its parameters and metrics; times in milliseconds."""

    id: str
    start: int
    end: int | None
    status: str
    tags: Mapping[str, str]
    """Those that were asked for, and perhaps others."""


def database(client: MlflowClient) -> SqlAlchemyStore | None:
    """The store itself if it is a database, which takes and gives many rows at once."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = client._tracking_client.store
    return store if isinstance(store, SqlAlchemyStore) else None


def heads(
    client: MlflowClient, experiment: str, tags: Sequence[str], session: str | None = None
) -> list[Head]:
    """The runs of an experiment that are not deleted, the latest first, with these ``tags``.

    Of a ``session`` alone, if it is given.
    """
    if store := database(client):
        return _heads(store, experiment, tags, session)
    wanted = f"tags.`{SESSION_TAG}` = '{session}'" if session else ""
    found, token = [], None
    while token is None or token:
        runs = client.search_runs([experiment], wanted, page_token=token)
        found += [
            Head(r.info.run_id, r.info.start_time, r.info.end_time, r.info.status, r.data.tags)
            for r in runs
        ]
        token = runs.token or ""
    return found


def table(
    client: MlflowClient, experiment: str, params: Sequence[str], tags: Sequence[str]
) -> pd.DataFrame:
    """Every run of an experiment that is not deleted, the oldest first, in a row.

    Columns: ``start_time`` [UTC], ``params.<name>``, ``tags.<name>`` and ``metrics.<name>``, as
    ``mlflow.search_runs`` has them; of parameters and tags at least those that are named, where a
    tag may end in ``*``.
    """
    if store := database(client):
        return _table(store, experiment, params, tags)
    import mlflow  # slow to import

    found: pd.DataFrame = mlflow.search_runs([experiment], order_by=["start_time ASC"])
    return found


def _heads(
    store: SqlAlchemyStore, experiment: str, tags: Sequence[str], session: str | None
) -> list[Head]:
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
    from sqlalchemy import select

    wanted = [SqlRun.experiment_id == int(experiment), SqlRun.lifecycle_stage == "active"]
    if session:
        own: Any = select(SqlTag.run_uuid).where(SqlTag.key == SESSION_TAG, SqlTag.value == session)
        wanted.append(SqlRun.run_uuid.in_(own))
    columns = SqlRun.run_uuid, SqlRun.start_time, SqlRun.end_time, SqlRun.status
    order = SqlRun.start_time.desc(), SqlRun.run_uuid
    of_runs = select(SqlTag.run_uuid, SqlTag.key, SqlTag.value).join(
        SqlRun, SqlRun.run_uuid == SqlTag.run_uuid
    )
    with store.ManagedSessionMaker() as reading:
        runs = reading.execute(select(*columns).where(*wanted).order_by(*order)).all()
        rows = reading.execute(of_runs.where(*wanted, SqlTag.key.in_(tags))).all()
    by_run: dict[str, dict[str, str]] = {}
    for run, key, value in rows:
        by_run.setdefault(run, {})[key] = value
    return [Head(*run, by_run.get(run[0], {})) for run in runs]


def _table(
    store: SqlAlchemyStore, experiment: str, params: Sequence[str], tags: Sequence[str]
) -> pd.DataFrame:
    import pandas as pd  # slow to import, as is MLflow
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam, SqlRun, SqlTag
    from sqlalchemy import or_, select, true

    own = SqlRun.experiment_id == int(experiment), SqlRun.lifecycle_stage == "active"
    like = [SqlTag.key.like(f"{tag[:-1]}%") for tag in tags if tag.endswith("*")]
    kinds: list[tuple[str, Any, Any]] = [
        ("params.", SqlParam, SqlParam.key.in_(params)),
        ("tags.", SqlTag, or_(SqlTag.key.in_(tags), *like)),
        ("metrics.", SqlLatestMetric, true()),
    ]
    with store.ManagedSessionMaker() as reading:
        runs = reading.execute(select(SqlRun.run_uuid, SqlRun.start_time).where(*own)).all()
        found = pd.DataFrame.from_records(runs, columns=["run_id", "start_time"], index="run_id")
        found["start_time"] = pd.to_datetime(found["start_time"], unit="ms", utc=True)
        parts = [found.sort_values("start_time", kind="stable")]
        for prefix, model, wanted in kinds:
            query = select(model.run_uuid, model.key, model.value)
            query = query.join(SqlRun, SqlRun.run_uuid == model.run_uuid).where(*own, wanted)
            rows = pd.DataFrame.from_records(
                reading.execute(query).all(), columns=["run_id", "key", "value"]
            )
            parts.append(rows.pivot(index="run_id", columns="key", values="value"))
            parts[-1].columns = [f"{prefix}{key}" for key in parts[-1]]
    return parts[0].join(parts[1:]).reset_index()
