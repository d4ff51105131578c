"""MLflow's stores as they are met: made by several at once, changed by hand, of other versions."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import mlflow.store.db_migrations
import pytest
from mlflow import MlflowClient

from suite.records import record as records
from suite.tracking import sender, tracker as tracking
from suite.tracking.entries import PARENT_TAG, RECORD_TAG
from suite.tracking.errors import TrackingError
from suite.tracking.remedies import remedy
from suite.tracking.tracker import Tracker
from tests.suite.command import in_process
from tests.suite.examples import CELL, example_record

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are slow."""
    monkeypatch.setattr(sender, "draw_curves", lambda record, path: path.touch())


@pytest.fixture
def results(tmp_path: Path, empty_store: Path) -> Path:
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results")
    return tmp_path / "results"


def keep(results: Path, task: str = "fashion_mlp", seed: int = 0) -> None:
    record = example_record("s1")
    record.cell = replace(CELL, task=task, seed=seed)
    records.write(results, record)


def sync(results: Path, uri: str | None = None) -> tuple[int, int]:
    tracker = Tracker(uri or tracking.default_uri(results), results)
    return tracking.sync(results, tracker, lambda text: None)


def client(results: Path) -> MlflowClient:
    return MlflowClient(tracking.default_uri(results))


def cells(store: MlflowClient, experiment: str) -> list[Any]:
    found = store.get_experiment_by_name(experiment)
    assert found
    return [r for r in store.search_runs([found.experiment_id]) if RECORD_TAG in r.data.tags]


def test_four_processes_make_a_new_store_at_once(tmp_path: Path) -> None:
    """Each for a results folder of its own, which no lock of ours has in common."""
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    processes = multiprocessing.get_context("fork")
    barrier, told = processes.Barrier(4), processes.Queue()

    def work(number: int) -> None:
        results = tmp_path / f"results{number}"
        keep(results, seed=number)
        barrier.wait(60)
        try:
            told.put(sync(results, uri))
        except TrackingError as error:
            told.put(str(error))

    workers = [processes.Process(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    said = [told.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert said == [(1, 0)] * 4
    assert len(cells(MlflowClient(uri), "fashion_mlp")) == 4


def test_two_processes_that_send_one_folder_send_each_record_once(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take turns: here one record long."""
    monkeypatch.setattr(tracking, "TURN", 0.0)
    for seed in range(6):
        keep(results, seed=seed)
    processes = multiprocessing.get_context("fork")
    barrier, told = processes.Barrier(2), processes.Queue()

    def work() -> None:
        barrier.wait(60)
        told.put(sync(results))

    workers = [processes.Process(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    said = [told.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert [sent + there for sent, there in said] == [6, 6]
    assert sum(sent for sent, _ in said) == 6
    assert len(cells(client(results), "fashion_mlp")) == 6


def test_an_interrupted_sync_is_taken_up_where_it_was(results: Path) -> None:
    """A session whose end was not told is told it."""
    for seed in range(3):
        cell, ended = replace(CELL, seed=seed), f"2026-01-01T00:0{seed + 1}:00.000+00:00"
        records.write(results, replace(example_record("s1"), cell=cell, ended=ended))

    def stop(text: str) -> None:
        if "seed1" in text:
            raise KeyboardInterrupt

    tracker = Tracker(tracking.default_uri(results), results)
    with pytest.raises(KeyboardInterrupt):
        tracking.sync(results, tracker, stop)
    assert sync(results) == (1, 2)
    (cell, *_) = cells(client(results), "fashion_mlp")
    parent = client(results).get_run(cell.data.tags[PARENT_TAG])
    assert parent.info.status == "FINISHED"
    assert parent.info.end_time == max(
        c.info.end_time for c in cells(client(results), "fashion_mlp")
    )


def test_an_experiment_that_another_process_made_meanwhile_is_used(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = client(results)
    asked = store.get_experiment_by_name
    made: list[str] = []

    def unaware(name: str) -> Any:
        if made:
            return asked(name)
        made.append(store.create_experiment(name))
        return None

    monkeypatch.setattr(store, "get_experiment_by_name", unaware)
    own = sender.Sender(store, tracking.default_uri(results), results)
    assert [own.experiment("fashion_mlp").experiment_id] == made


class TestChangedByHand:
    def test_a_deleted_experiment_says_what_to_do_and_stops_no_other(self, results: Path) -> None:
        keep(results)
        assert sync(results) == (1, 0)
        store = client(results)
        own = store.get_experiment_by_name("fashion_mlp")
        assert own
        store.delete_experiment(own.experiment_id)
        keep(results, seed=1)
        keep(results, "lstm")
        done = in_process(results.parent, "sync")
        assert done.returncode == 1
        words = " ".join(done.stderr.split())
        assert "'fashion_mlp' was deleted" in words
        assert f"`mlflow experiments restore --experiment-id {own.experiment_id}`" in words
        assert len(cells(store, "lstm")) == 1
        store.restore_experiment(own.experiment_id)
        assert sync(results) == (1, 2)
        assert len(cells(store, "fashion_mlp")) == 2

    def test_a_session_goes_on_without_it(self, results: Path) -> None:
        store = client(results)
        store.delete_experiment(store.create_experiment("fashion_mlp"))
        said: list[str] = []
        tracker = Tracker(tracking.default_uri(results), results)
        path = records.write(results, example_record("s1"))
        assert tracker.try_log(example_record("s1"), path, said.append) is None
        (message,) = said
        assert "was deleted: restore it" in message

    def test_beside_a_renamed_experiment_there_is_a_new_one(self, results: Path) -> None:
        keep(results)
        sync(results)
        store = client(results)
        own = store.get_experiment_by_name("fashion_mlp")
        assert own
        store.rename_experiment(own.experiment_id, "last year's")
        keep(results, seed=1)
        assert sync(results) == (2, 0)
        assert len(cells(store, "fashion_mlp")) == 2
        assert len(cells(store, "last year's")) == 1

    def test_a_deleted_run_is_sent_again(self, results: Path) -> None:
        for seed in (0, 1):
            keep(results, seed=seed)
        sync(results)
        store = client(results)
        gone, stays = cells(store, "fashion_mlp")
        store.delete_run(gone.info.run_id)
        store.set_tag(stays.info.run_id, "mlflow.runName", "renamed")
        assert sync(results) == (1, 1)
        assert len(cells(store, "fashion_mlp")) == 2

    def test_cells_of_a_deleted_session_lie_below_a_new_one(self, results: Path) -> None:
        keep(results)
        sync(results)
        store = client(results)
        (cell,) = cells(store, "fashion_mlp")
        store.delete_run(cell.data.tags[PARENT_TAG])
        assert sync(results) == (0, 1)
        (again,) = cells(store, "fashion_mlp")
        assert again.info.run_id == cell.info.run_id
        parent = store.get_run(again.data.tags[PARENT_TAG])
        assert parent.info.lifecycle_stage == "active"
        assert parent.data.tags["tetragrad.session"] == "s1"


OLDER = "451aebb31d03"


@pytest.mark.parametrize(
    ("revision", "words"),
    [(OLDER, "an older MLflow made it: do so"), ("0123456789ab", "a newer MLflow made it")],
)
def test_a_store_of_another_version_says_what_to_do(
    results: Path, revision: str, words: str
) -> None:
    versions = Path(mlflow.store.db_migrations.__file__).parent / "versions"
    assert bool([*versions.glob(f"{revision}_*")]) == (revision == OLDER)
    keep(results)
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        ((before,),) = database.execute("SELECT version_num FROM alembic_version")
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        database.commit()
        with pytest.raises(TrackingError, match=f"{words}.*then `tetragrad sync`"):
            sync(results)
        database.execute("UPDATE alembic_version SET version_num = ?", (before,))
        database.commit()
    assert sync(results) == (1, 0)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("(sqlite3.OperationalError) table _alembic_tmp_metrics already exists", "half made"),
        ("Can't locate revision identified by '90e64c465722'", "half made"),
        ("(sqlite3.DatabaseError) file is not a database", "no MLflow store"),
        ("(sqlite3.OperationalError) database is locked", ""),
    ],
)
def test_a_damaged_store_has_a_remedy(said: str, words: str) -> None:
    assert words in remedy("sqlite:///mlflow.db", said)
    assert bool(remedy("sqlite:///mlflow.db", said)) == bool(words)


@contextmanager
def server(version: str) -> Iterator[str]:
    """A server that has its version and nothing else of what is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/version" else 404)
            self.end_headers()
            self.wfile.write(version.encode() if self.path == "/version" else b"<html>")

        do_POST = do_GET

        def log_message(self, *given: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://me:secret@127.0.0.1:{found.server_port}"
        found.shutdown()


@pytest.mark.parametrize(
    ("version", "words"),
    [("1.2.0", r"the server has MLflow 1\.2\.0, this program"), ("<html>", "address of an MLflow")],
)
def test_a_server_of_another_version_says_what_to_do_and_sync_completes_it(
    version: str, words: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    keep(results)
    with server(version) as uri, pytest.raises(TrackingError, match=words) as raised:
        sync(results, uri)
    assert "secret" not in str(raised.value)
    assert sync(results) == (1, 0)
