"""MLflow, the real one, on SQLite: what arrives there, and that it arrives once."""

from __future__ import annotations

import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from mlflow import MlflowClient

from suite.records import record as records
from suite.records.events import Outcome
from suite.records.record import Record
from suite.tracking import entries, tracker as tracking
from suite.tracking.entries import COMPLETE_TAG
from suite.tracking.errors import TrackingError, without_secrets
from suite.tracking.tracker import Tracker
from tests.suite.examples import CELL, example_record

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours


@pytest.fixture
def results(tmp_path: Path, empty_store: Path) -> Path:
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def tracker(results: Path) -> Tracker:
    return Tracker(tracking.default_uri(results), results)


def client(results: Path) -> MlflowClient:
    return MlflowClient(tracking.default_uri(results))


def cell_runs(results: Path) -> list[str]:
    store = client(results)
    experiment = store.get_experiment_by_name("fashion_mlp")
    assert experiment
    found = store.search_runs([experiment.experiment_id])
    return [r.info.run_id for r in found if "mlflow.parentRunId" in r.data.tags]


def keep(results: Path, session: str = "s1", seed: int = 0) -> tuple[Record, Path]:
    record = replace(example_record(session), cell=replace(CELL, seed=seed))
    return record, records.write(results, record)


def test_a_record_arrives_whole(tracker: Tracker, results: Path) -> None:
    record, path = keep(results)
    run_id, sent = tracker.log(record, path)
    assert sent
    store = client(results)
    run = store.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer.rho"] == "0.9"
    assert run.data.params["backend"] == "numpy"
    assert run.data.tags["verified"] == "true"
    assert run.data.tags["data"] == "generated"
    assert run.data.tags["cpu"] == "a processor"
    assert run.data.tags["reading"] == "still learning"
    assert run.data.metrics["test_accuracy"] == 0.8
    assert run.data.metrics["samples_per_second"] == 1000.0
    assert run.data.metrics["phase_seconds/train"] == 0.5
    assert run.data.metrics["efficiency"] == pytest.approx(0.4)
    by_epoch = store.get_metric_history(run_id, "test_accuracy")
    assert [(m.step, m.value) for m in by_epoch] == [(1, 0.7), (2, 0.8)]
    by_time = store.get_metric_history(run_id, "by_train_ms/test_accuracy")
    assert [(m.step, m.value) for m in by_time] == [(300, 0.7), (450, 0.8)]
    by_chunk = store.get_metric_history(run_id, "train_loss_per_chunk")
    assert [m.step for m in by_chunk] == [3, 6, 9, 12]
    assert by_chunk[0].value == 1.5
    artifacts = {a.path: a.file_size for a in store.list_artifacts(run_id)}
    assert set(artifacts) == {path.name, "curves.png"}
    assert (artifacts["curves.png"] or 0) > 10_000
    assert (results / "mlartifacts").is_dir()


def test_a_run_ends_when_its_cell_did(tracker: Tracker, results: Path) -> None:
    """In turns a cell takes longer than its own phases do."""
    record = replace(example_record("s1"), ended="2026-01-01T00:42:00.000+00:00")
    run_id, _ = tracker.log(record, records.write(results, record))
    info = client(results).get_run(run_id).info
    assert info.end_time - info.start_time == 42 * 60 * 1000
    before = replace(record, ended=None)  # of before it was kept
    assert entries.ended(before) - info.start_time == 800


def test_without_a_rate_or_a_proof_there_is_no_efficiency() -> None:
    record = example_record()
    assert entries.summary_of(record)["training_efficiency"] == pytest.approx(0.4)
    assert "training_efficiency" not in entries.summary_of(replace(record, attainable={}))
    unverified = entries.summary_of(replace(record, verified=False))
    assert not {"efficiency", "training_efficiency"} & unverified.keys()
    before = [{k: v for k, v in c.items() if k != "operations"} for c in record.chunks]
    assert "training_efficiency" not in entries.summary_of(replace(record, chunks=before))


def test_cells_of_a_session_are_nested_in_one_parent(tracker: Tracker, results: Path) -> None:
    runs = [tracker.log(*keep(results, session, seed))[0] for session in "ab" for seed in (0, 1)]
    store = client(results)
    parents = [store.get_run(run).data.tags["mlflow.parentRunId"] for run in runs]
    assert parents[0] == parents[1] != parents[2] == parents[3]
    assert store.get_run(parents[0]).data.tags["tetragrad.session"] == "a"


def test_a_cell_that_failed_is_there_as_failed(tracker: Tracker, results: Path) -> None:
    killed = (Outcome.INTERRUPTED, Outcome.NOT_BEGUN)
    for outcome, status in {Outcome.CRASHED: "FAILED", **dict.fromkeys(killed, "KILLED")}.items():
        session = outcome.replace(" ", "-")
        record = replace(
            example_record(session), outcome=outcome, reason="why", chunks=[], epochs=[], phases={}
        )
        run = client(results).get_run(tracker.log(record, records.write(results, record))[0])
        assert run.info.status == status
        assert run.data.tags["reason"] == "why"


def test_a_run_that_was_stopped_early_has_both_its_last_and_its_best_epoch(
    tracker: Tracker, results: Path
) -> None:
    record = replace(example_record(), stopped={"epoch": 2, "best": 1})
    run = client(results).get_run(tracker.log(record, records.write(results, record))[0])
    assert run.data.metrics["test_accuracy"] == 0.8
    assert run.data.metrics["best_epoch/test_accuracy"] == 0.7


def test_sync_sends_what_is_not_there_once_only(tracker: Tracker, results: Path) -> None:
    tracker.log(*keep(results, seed=0))
    keep(results, seed=1)
    said: list[str] = []
    assert tracking.sync(results, tracker, said.append) == (1, 1)
    assert len(said) == 1
    assert tracking.sync(results, tracker, said.append) == (0, 2)
    assert len(cell_runs(results)) == 2


def test_a_run_that_broke_off_is_replaced(tracker: Tracker, results: Path) -> None:
    record, path = keep(results)
    broken, _ = tracker.log(record, path)
    client(results).delete_tag(broken, COMPLETE_TAG)
    assert tracking.sync(results, tracker, print) == (1, 0)
    assert len(cell_runs(results)) == 1
    assert cell_runs(results) != [broken]


def test_a_store_that_fails_costs_nothing_and_is_told_once(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Tracker("http://me:secret@127.0.0.1:9", results)
    said: list[str] = []
    for seed in (0, 1):
        assert away.try_log(*keep(results, seed=seed), said.append) is None
    (message,) = said
    assert "tetragrad sync" in message
    assert "secret" not in message
    with pytest.raises(TrackingError):
        tracking.sync(results, away, said.append)
    here = Tracker(tracking.default_uri(results), results)
    assert tracking.sync(results, here, said.append) == (2, 0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pass@host/x and https://t@h", "http://***@host/x and https://***@h"),
        ("mysql://me:p@ss@host/db?password=secret&x=1", "mysql://***@host/db?password=***&x=***"),
        ("(url: http://host/api?token=secret)", "(url: http://host/api?token=***)"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_secrets_in_addresses_are_struck_out(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


class TestServer:
    """MLflow's own server, which hangs, goes on, and is lost."""

    @pytest.fixture
    def server(self, results: Path) -> Iterator[tuple[str, psutil.Process]]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
        store = ["--backend-store-uri", tracking.default_uri(results)]
        # artifacts past the server: those of the store alone would not find them otherwise
        artifacts = ["--default-artifact-root", str(results / "artifacts"), "--no-serve-artifacts"]
        process = psutil.Popen(
            [*command, *store, *artifacts, "--workers", "1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.25)
        try:
            yield f"http://me:hunter2@127.0.0.1:{port}", process
        finally:
            signal_all(process, signal.SIGKILL)
            process.wait()

    def test_what_it_does_not_take_is_sent_later(
        self,
        server: tuple[str, psutil.Process],
        results: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        address, process = server
        said: list[str] = []
        session = Tracker(address, results)
        assert session.try_log(*keep(results, seed=0), said.append)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
        signal_all(process, signal.SIGSTOP)
        begin = time.monotonic()
        assert session.try_log(*keep(results, seed=1), said.append) is None
        assert session.try_log(*keep(results, seed=2), said.append) is None
        assert time.monotonic() - begin < 10
        (message,) = said
        assert "tetragrad sync" in message
        signal_all(process, signal.SIGCONT)
        monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
        # as a user has it: it may close a connection that was idle for long, just when it is used
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        assert tracking.sync(results, Tracker(address, results), said.append) == (2, 1)
        session = Tracker(address, results)
        assert session.try_log(*keep(results, seed=0), said.append)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        signal_all(process, signal.SIGKILL)
        process.wait()
        assert session.try_log(*keep(results, seed=3), said.append) is None
        here = Tracker(tracking.default_uri(results), results)
        assert tracking.sync(results, here, said.append) == (1, 3)
        assert len(cell_runs(results)) == 4
        printed, errors = capfd.readouterr()
        assert printed == ""  # there, `run --json` has its document alone
        assert "hunter2" not in errors + "".join(said)


def signal_all(process: psutil.Process, number: signal.Signals) -> None:
    """A process and all that it began."""
    with suppress(psutil.NoSuchProcess):
        for one in (*process.children(recursive=True), process):
            one.send_signal(number)


def test_a_store_that_another_session_has_locked_is_sent_to_later(
    tracker: Tracker, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.log(*keep(results, seed=0))
    said: list[str] = []
    tracker = Tracker(f"{tracking.default_uri(results)}?timeout=0.2", results)
    with closing(sqlite3.connect(results / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert tracker.try_log(*keep(results, seed=1), said.append) is None
    (message,) = said
    assert "locked" in message
    with FileLock(results / "tracking.lock"):
        monkeypatch.setattr(tracking, "PATIENCE", 0.1)
        with pytest.raises(TrackingError, match=r"tracking\.lock"):
            tracking.sync(results, Tracker(tracking.default_uri(results), results), said.append)
    assert tracking.sync(results, Tracker(tracking.default_uri(results), results), print) == (1, 1)
    assert len(cell_runs(results)) == 2


def test_a_cell_that_was_run_again_replaces_its_run(tracker: Tracker, results: Path) -> None:
    before, _ = tracker.log(*keep(results))
    record = replace(example_record("s1"), created="2026-01-02T00:00:00.000+00:00")
    record = replace(record, cell=replace(CELL, seed=0))
    after, sent = tracker.log(record, records.write(results, record))
    assert sent
    assert cell_runs(results) == [after] != [before]
    assert tracker.log(record, records.path_of(results, record)) == (after, False)
