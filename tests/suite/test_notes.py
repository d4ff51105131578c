"""Notes on sessions in MLflow: the real store, and Markdown as MLflow's pages read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from mlflow import MlflowClient

from suite.records import record as records
from suite.records.record import Record
from suite.report import notes
from suite.tracking import sender, tracker as tracking, view
from suite.tracking.tracker import Tracker
from tests.suite import reported
from tests.suite.command import in_process
from tests.suite.pages import Seen
from tests.suite.reported import HOSTILE, SESSION, failed, record, unverified

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours
LATER = "20260102-000000-abcd"


@pytest.fixture
def results(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results")
    monkeypatch.setattr(sender, "draw_curves", lambda record, path: path.touch())  # is slow
    return tmp_path / "results"


def log(results: Path, found: Sequence[Record], *timed: dict[str, Any]) -> Tracker:
    tracker = Tracker(tracking.default_uri(results), results)
    reported.write(results, [*found], *timed)
    for one in found:
        tracker.log(one, records.path_of(results, one))
    return tracker


def run_note(results: Path, session: str = SESSION) -> str:
    client = MlflowClient(tracking.default_uri(results))
    experiment = client.get_experiment_by_name("fashion_mlp")
    assert experiment
    wanted = f"tags.`tetragrad.session` = '{session}'"
    runs = client.search_runs([experiment.experiment_id], wanted)
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert [r for r in runs if "mlflow.note.content" in r.data.tags] in ([parent], [])
    return parent.data.tags.get("mlflow.note.content", "")


def task_note(results: Path) -> str:
    experiment = MlflowClient(tracking.default_uri(results)).get_experiment_by_name("fashion_mlp")
    assert experiment
    return str(experiment.tags.get("mlflow.note.content", ""))


def page(markdown: str) -> Seen:
    seen = Seen(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown))
    seen.text = " ".join(seen.text.split())
    return seen


def said(name: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {name}")


def test_the_page_says_who_is_fastest_and_whether_it_is_the_same_model(results: Path) -> None:
    rounds = (("numpy", "eager", [1.0, 1.0, 1.1]), ("jax", "jit", [0.5, 0.49, 0.55]))
    found = [record("numpy"), record("jax"), unverified("torch"), failed("tensorflow")]
    tracker = log(results, found, reported.timing(*rounds))
    notes.try_write(tracker, results, SESSION, said)
    seen = page(run_note(results))
    cells = [tag for tag, _ in seen.tags if tag in ("table", "tr", "td")]
    assert (cells.count("table"), cells.count("tr"), cells.count("td")) == (1, 5, 28)
    for text in ("JAX 0.8000", "2.00 [", "yes PyTorch", "NO", "hidden.kernel", "interleaved"):
        assert text in seen.text
    assert "9,000" not in seen.text  # the speed of what is not verified
    assert page(task_note(results)).text == (
        "fashion_mlp : JAX trained fastest, 2.00 times as fast as NumPy; verified as the same "
        "model: NumPy and JAX; NOT verified, so without a speed: PyTorch; without a result: "
        f"TensorFlow (quick, cpu, 1 thread, GENERATED DATA, session {SESSION})."
    )


def test_the_page_of_runs_has_a_view_of_the_columns_that_matter(results: Path) -> None:
    tracker = log(results, [record("numpy"), record("jax")])
    notes.write(tracker, results)
    experiment = tracker.experiments()["fashion_mlp"]
    state = json.loads(experiment.tags[view.TAG])
    columns = state["selectedColumns"]
    assert columns[:3] == [
        *("tags.`verified`", "metrics.`test_accuracy`", "metrics.`samples_per_second`")
    ]
    assert set(state["columnWidths"]) == {*columns} == {*state["columnOrder"]}
    client = MlflowClient(tracking.default_uri(results))
    shown = client.search_runs([experiment.experiment_id], state["searchFilter"])
    assert {run.data.tags["backend"] for run in shown} == {"numpy", "jax"}  # no session's own run
    for column in columns:
        kind, name = column.split(".", 1)
        assert name.strip("`") in getattr(shown[0].data, kind), column


def test_a_store_of_before_there_was_a_view_gets_it(results: Path) -> None:
    tracker = log(results, [record("numpy")])
    notes.write(tracker, results)
    client = MlflowClient(tracking.default_uri(results))
    experiment = tracker.experiments()["fashion_mlp"]
    client.delete_experiment_tag(experiment.experiment_id, view.TAG)
    assert in_process(results.parent, "sync").returncode == 0
    assert view.TAG in tracker.experiments()["fashion_mlp"].tags


def test_hostile_words_stay_words(results: Path) -> None:
    found = [record("numpy", seed=1, threads=2), record("numpy"), failed("jax", reason=HOSTILE)]
    notes.write(log(results, found), results)
    seen = page(run_note(results))
    assert " ".join(HOSTILE.split()) in seen.text
    assert not [tag for tag, _ in seen.tags if tag in ("script", "img", "code")]
    assert [tag for tag, _ in seen.tags].count("table") == 2  # one for each set of conditions


def test_the_experiment_tells_of_the_latest_session_whichever_is_sent_last(results: Path) -> None:
    for session, speed in ((LATER, 50.0), (SESSION, 20.0)):
        found = [record("numpy"), record("jax", speed=speed)]
        tracker = log(results, [replace(one, session=session) for one in found])
        notes.try_write(tracker, results, session, said)
        assert "50.00 times" in task_note(results)
    assert "20.00 times" in run_note(results)


def test_sync_writes_what_is_missing_and_what_has_changed_and_no_more(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = log(results, [record("numpy")])
    assert run_note(results) == ""
    done = in_process(results.parent, "sync")
    assert (done.returncode, done.stdout) == (0, "0 sent, 1 already there\n"), done.stderr
    assert "JAX" not in run_note(results)
    log(results, [record("jax", created="2026-01-01T00:00:01.000+00:00")])
    notes.write(tracker, results)
    assert "JAX" in run_note(results)
    monkeypatch.setattr(notes, "answer", said)
    notes.write(tracker, results)


def test_a_long_note_is_cut_at_a_line_and_says_so() -> None:
    text = "".join(f"line {n}\n" for n in range(2_000))
    cut = notes.shortened(text, SESSION)
    assert len(cut) <= notes.LONGEST
    body, _, end = cut.partition("\n\nCut here: ")
    assert text.startswith(f"{body}\n")
    assert f"tetragrad report {SESSION}" in end
    assert notes.shortened("short", SESSION) == "short"


def test_a_store_that_is_away_costs_nothing(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported.write(results, [record("numpy")])
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    heard: list[str] = []
    notes.try_write(Tracker("http://127.0.0.1:9", results), results, SESSION, heard.append)
    (message,) = heard
    assert "tetragrad sync" in message
    notes.try_write(Tracker(tracking.NONE, results), results, SESSION, said)


def test_a_damaged_timing_is_told_and_costs_nothing_else(results: Path) -> None:
    tracker = log(results, [record("numpy")], reported.timing(("numpy", "eager", [1.0])))
    (path,) = (results / "timings" / SESSION).iterdir()
    path.write_text("{}")
    heard: list[str] = []
    notes.try_write(tracker, results, SESSION, heard.append)
    assert f"{path} is not a timing" in heard[0]
    assert run_note(results) == ""
