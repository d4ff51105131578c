"""Runs that go into a database past MLflow's client, and out of it: as MLflow itself has them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from suite.history import cells
from suite.records import record as records
from suite.tracking import reading, sender, tracker as tracking, writing
from suite.tracking.entries import COMPLETE_TAG, RECORD_TAG, SESSION_TAG
from suite.tracking.errors import TrackingError
from suite.tracking.tracker import Tracker
from tests.suite.examples import CELL, example_record

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours
MODULES = (reading, writing)


@pytest.fixture
def results(tmp_path: Path, empty_store: Path) -> Path:
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def as_a_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes us take a store for a server, or again for what it is."""
    known = reading.database

    def switch(on: bool) -> None:
        for module in MODULES:
            monkeypatch.setattr(module, "database", (lambda client: None) if on else known)

    return switch


def log(results: Path, session: str, **changes: Any) -> str:
    record = replace(example_record(session), **changes)
    path = records.write(results, record)
    return Tracker(tracking.default_uri(results), results).log(record, path)[0]


def seen(client: MlflowClient, run_id: str, session: str) -> dict[str, Any]:
    """All that MLflow says of a run, but ids, with the session's name taken out."""
    run = client.get_run(run_id)
    info = run.info
    tags = {
        k: v.replace(session, "") for k, v in run.data.tags.items() if k != "mlflow.parentRunId"
    }
    return {
        "info": (info.run_name, info.status, info.start_time, info.end_time, info.user_id),
        "stage": info.lifecycle_stage,
        "data": (run.data.metrics, run.data.params, tags),
        "curves": {
            key: sorted(
                (m.step, m.timestamp, m.value) for m in client.get_metric_history(run_id, key)
            )
            for key in run.data.metrics
        },
        "files": sorted((a.path, a.file_size) for a in client.list_artifacts(run_id)),
        "place": info.artifact_uri.replace(run_id, ""),
    }


def test_mlflow_shows_no_difference_to_what_its_client_sends(
    results: Path, as_a_server: Callable[[bool], None]
) -> None:
    client = MlflowClient(tracking.default_uri(results))
    shown = []
    for number, session in enumerate(("s1", "s2")):
        as_a_server(session == "s2")
        run = log(results, session, stopped={"epoch": 2, "best": 1})
        parent = client.get_run(run).data.tags["mlflow.parentRunId"]
        shown.append([seen(client, one, session) for one in (run, parent)])
        assert len(client.get_run(run).data.metrics) > 20, number
    own, theirs = shown
    own[0]["files"] = [(name, size > 0) for name, size in own[0]["files"]]
    theirs[0]["files"] = [(name, size > 0) for name, size in theirs[0]["files"]]
    own[1]["info"], theirs[1]["info"] = own[1]["info"][1:], theirs[1]["info"][1:]
    assert own == theirs


def test_the_last_value_of_a_metric_is_the_one_that_mlflow_takes(
    results: Path, as_a_server: Callable[[bool], None]
) -> None:
    client = MlflowClient(tracking.default_uri(results))
    experiment = client.get_experiment(client.create_experiment("any"))
    points = [(1.0, 20, 2), (2.0, 10, 2), (9.0, 30, 1), (3.0, 20, 2), (float("nan"), 5, 3)]
    metrics = [Metric("m", *point) for point in points[:4]] + [Metric("n", *points[4])]
    latest = []
    for server in (False, True):
        as_a_server(server)
        run = writing.NewRun("a run", "FINISHED", 1, 2, {}, metrics=metrics)
        found = client.get_run(writing.write(client, experiment, run)).data.metrics
        latest.append({name: str(value) for name, value in found.items()})
    assert latest[0] == latest[1] == {"m": "3.0", "n": "nan"}


def test_a_run_is_there_whole_or_not_at_all(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(rows: Any) -> Any:
        raise OSError("the power is gone")

    monkeypatch.setattr(writing, "_latest", break_off)
    with pytest.raises(TrackingError, match="power"):
        log(results, "s1")
    client = MlflowClient(tracking.default_uri(results))
    experiment = client.get_experiment_by_name("fashion_mlp")
    assert experiment
    assert client.search_runs([experiment.experiment_id]) == []
    monkeypatch.undo()
    monkeypatch.setattr(sender, "draw_curves", lambda record, path: path.touch())
    tracker = Tracker(tracking.default_uri(results), results)
    assert tracking.sync(results, tracker, print) == (1, 0)


def test_what_a_database_gives_at_once_is_what_a_search_finds(
    results: Path, as_a_server: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "draw_curves", lambda record, path: path.touch())
    for number, session in enumerate(("s1", "s2")):
        created = f"2026-01-0{number + 1}T00:00:00.000+00:00"
        for seed in (0, 1):
            log(results, session, cell=replace(CELL, seed=seed), created=created)
    with Tracker(tracking.default_uri(results), results).connection() as client:
        experiment = client.get_experiment_by_name("fashion_mlp")
    assert experiment
    gone = log(results, "s3")
    client.delete_run(gone)
    own = experiment.experiment_id
    tags = (RECORD_TAG, SESSION_TAG, COMPLETE_TAG)

    def everything() -> Any:
        heads = [reading.heads(client, own, tags, session) for session in (None, "s2")]
        cut = [
            [(h.id, h.start, h.end, h.status, {k: h.tags.get(k) for k in tags}) for h in found]
            for found in heads
        ]
        table = cells._tidied(cells._search(client, own, None))
        return cut, table.sort_values(["session", "seed"]).to_dict("records")

    at_once = everything()
    as_a_server(True)
    assert everything() == at_once
    (first, second), rows = at_once
    assert (len(first), len(second), len(rows)) == (7, 3, 4)
