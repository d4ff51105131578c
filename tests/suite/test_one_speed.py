"""One speed: what rounds in turns measured, everywhere; what training showed has another name."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suite import report
from suite.history.series import build
from suite.records import record as records, timing as timings
from suite.records.record import Record
from suite.session.runner import Session
from suite.show import summary
from suite.tracking import entries, sender, tracker as tracking
from tasks.task import RequestError
from tests.suite import reported
from tests.suite.command import in_process
from tests.suite.examples import example_record, example_timing
from tests.suite.history.past import past, send, session
from tests.suite.pages import Seen

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours
CHOICE = ("fashion_mlp", None)
SMOKE = ("--task", "fashion_mlp", "--profile", "smoke", "--data", "generated")


@pytest.fixture
def results(tmp_path: Path, empty_store: Path) -> Path:
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results")
    return tmp_path / "results"


def test_every_place_shows_that_of_the_rounds_in_turns(
    proved: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, results = proved, proved / "results"
    shutil.copy(empty_store, results)
    monkeypatch.setattr(timings, "LEAST_ROUNDS", 14)  # more than training has
    done = in_process(folder, "run", *SMOKE, "--backend", "numpy", "--report", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (cell,), timing = document["cells"], document["timings"]["fashion_mlp"]
    speed = timing["contestants"]["numpy:eager"]["throughput"]
    assert cell["throughput"] == {"unit": "samples/s", **speed}
    (record,) = (records.read(path) for path in records.all_paths(results))
    assert record.throughput == cell["throughput"]
    assert record.training_throughput == cell["training_throughput"] != cell["throughput"]
    shown = re.findall(r"seed0: ([\d,]+) samples/s", done.stderr)
    assert shown == [f"{speed['median']:,.0f}"]
    (row,) = csv.DictReader(next(results.glob("reports/*/report.csv")).read_text().splitlines())
    assert float(row["throughput_median"]) == speed["median"]
    assert row["training_throughput_median"] == ""
    history = json.loads(in_process(folder, "history", "fashion_mlp", "--json").stdout)
    (point,) = history["series"][0]["points"]
    assert (history["metric"], point["value"]) == ("samples_per_second", speed["median"])
    efficiency = timing["contestants"]["numpy:eager"]["efficiency"]["median"]
    asked = ("history", "fashion_mlp", "--json", "--metric", "efficiency")
    (point,) = json.loads(in_process(folder, *asked).stdout)["series"][0]["points"]
    assert point["value"] == efficiency


def test_a_record_keeps_the_speed_of_its_own_rounds() -> None:
    timing = example_timing([0.2, 0.1, 0.1], [0.05, 0.05, 0.05])
    record = replace(example_record(), timed=timing.told("torch:eager"))
    assert record.throughput == {"unit": "samples/s", "median": 2000, "low": 2000, "high": 2000}
    assert record.training_throughput["median"] == 1000
    assert record.efficiency is None  # of that session it is not known
    known = replace(timing, operations=(1e8,) * 3, machine={"matmul": 4e9})
    record = replace(record, timed=known.told("torch:eager"))
    assert record.efficiency == 0.5
    assert record.training_efficiency == pytest.approx(0.4)


def untimed() -> Record:
    return reported.record("numpy", timed=None)


class TestNothingTimedInTurns:
    def test_there_is_no_speed(self, tmp_path: Path) -> None:
        record = untimed()
        assert set(record.throughput.values()) == {"samples/s", None}
        metrics = entries.summary_of(record)
        assert "samples_per_second" not in metrics
        assert (metrics["training_samples_per_second"], "efficiency" in metrics) == (1000, False)
        cell = summary._cell(Session("s", tmp_path, [record], {}), record)
        assert cell["throughput"]["median"] is None
        assert cell["training_throughput"]["median"] == 1000

    def test_a_report_calls_it_another_name(self, tmp_path: Path) -> None:
        files = report.write(tmp_path, [untimed(), reported.record("jax", timed=None)], tmp_path)
        rows = [*csv.DictReader(files.csv.read_text().splitlines())]
        assert [row["throughput_median"] for row in rows] == ["", ""]
        assert [row["training_throughput_median"] for row in rows] == ["1000.0", "1000.0"]
        (section,) = json.loads(files.json.read_text())["sections"]
        assert (section["speeds"], [e["speed"] for e in section["entries"]]) == ([], [None, None])
        assert "| samples/s in training | times NumPy in training |" in files.markdown.read_text()
        seen = Seen(files.html.read_text())
        assert "Rates in training" in seen.text
        assert "samples/s in training" in seen.text

    def test_its_history_says_so(self, results: Path) -> None:
        tracker = send(results, [past(1, "numpy", timed=None)])
        with pytest.raises(RequestError, match="--metric training_samples_per_second"):
            build(tracker, CHOICE)
        history = build(tracker, CHOICE, "training_samples_per_second")
        assert [point.value for point in history.series[0].points] == [1000]


def test_runs_of_before_are_not_joined_to_speeds(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have what training alone showed under the bare names."""
    own = entries.summary_of

    def before(record: Record) -> dict[str, float]:
        found = own(record)
        kept = {n: v for n, v in found.items() if not n.startswith("training_")}
        rates = {n.removeprefix("training_"): v for n, v in found.items() if n not in kept}
        return kept | rates

    with monkeypatch.context() as patched:
        patched.setattr(entries, "summary_of", before)
        send(results, [past(1, "numpy", 3)])
    tracker = send(results, [past(2, "numpy", 5)])
    speeds = build(tracker, CHOICE).series[0].points
    assert [(p.session.id, round(p.value)) for p in speeds] == [(session(2), 5000)]
    training = build(tracker, CHOICE, "training_samples_per_second").series[0].points
    assert [round(p.value) for p in training] == [3000, 5000]
    assert len(build(tracker, CHOICE, "efficiency").series[0].points) == 1


def test_an_old_record_is_sent_with_the_speed_of_its_session_s_timing(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: dict[str, Any] = reported.timing(("numpy", "eager", [0.25] * 3))
    reported.write(results, [untimed()], timed)
    (path,) = (results / "timings").glob("*/*")
    path.rename(path.with_name("fashion_mlp.json"))
    assert [*timings.of_session(results, reported.SESSION)] == ["fashion_mlp"]
    monkeypatch.setattr(sender, "draw_curves", lambda record, path: path.touch())  # is slow
    tracking.sync(results, tracking.Tracker(tracking.default_uri(results), results), print)
    tracker = send(results, [])
    assert [point.value for point in build(tracker, CHOICE).series[0].points] == [4000]
