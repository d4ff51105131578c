"""The page that ``tetragrad report`` writes, what lies beside it, and the command."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from mlflow import MlflowClient

import backends
from suite import report
from suite.records import record as records
from suite.report import Files, words
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker
from tests.suite import reported
from tests.suite.command import assert_refused, in_process
from tests.suite.pages import Seen
from tests.suite.reported import HOSTILE, SESSION, record


def page(tmp_path: Path, found: list[records.Record]) -> str:
    return report.write(tmp_path, found, tmp_path / "out").html.read_text()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A report with everything that there is in reports."""
    folder = tmp_path_factory.mktemp("full")
    return report.write(folder, reported.everything())


class TestPage:
    def test_hostile_words_stay_words(self, full: Files) -> None:
        seen = Seen(full.html.read_text())
        assert " ".join(HOSTILE.split()) in seen.text
        assert [tag for tag, _ in seen.tags].count("script") == 3
        assert not [a for tag, a in seen.tags if tag == "img" or any(k.startswith("on") for k in a)]
        markdown = full.markdown.read_text()
        assert "<script" not in markdown
        assert "&lt;script&gt;" in markdown

    def test_it_needs_nothing_but_itself(self, full: Files) -> None:
        html = full.html.read_text()
        links = [a.get("src") or a.get("href") or "" for _, a in Seen(html).tags]
        assert {link[:1] for link in links if link} <= {"#", "d"}  # d: the empty icon, data:
        assert html.count("plotly.js v") == 1
        assert len(html) < 6e6

    def test_generated_data_cannot_be_missed(self, tmp_path: Path) -> None:
        generated = page(tmp_path, [record("numpy")])
        assert "<title>fashion_mlp in NumPy · Tetragrad · GENERATED DATA</title>" in generated
        assert Seen(generated).text.count("GENERATED") >= 4
        assert "GENERATED" not in Seen(page(tmp_path, [record("numpy", data="real")])).text

    def test_headings_are_in_order_and_figures_have_words(self, full: Files) -> None:
        tags = Seen(full.html.read_text()).tags
        levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(b <= a + 1 for a, b in pairwise(levels))
        plots = [a for tag, a in tags if a.get("class") == "plot"]
        assert len(plots) > 20
        assert all(a["role"] == "img" and a["aria-label"] for a in plots)
        ids = [a["id"] for _, a in tags if "id" in a]
        assert len(ids) == len(set(ids))
        assert all(a.get("scope") for tag, a in tags if tag == "th")
        assert [tag for tag, _ in tags].count("table") == [tag for tag, _ in tags].count("caption")

    def test_all_that_is_beside_it_has_the_same_numbers(self, tmp_path: Path) -> None:
        found = [record("numpy"), record("jax", speed=2), reported.unverified("torch")]
        files = report.write(tmp_path, found, tmp_path)
        text, markdown = Seen(files.html.read_text()).text, files.markdown.read_text()
        rows = list(csv.DictReader(files.csv.read_text().splitlines()))
        (section,) = json.loads(files.json.read_text())["sections"]
        assert [row["backend"] for row in rows] == ["numpy", "torch", "jax"]
        for row, entry in zip(rows, section["entries"], strict=True):
            quality = float(row["quality_median"])
            assert quality == entry["quality"]["median"]
            assert words.figure(quality) in text
            assert words.figure(quality) in markdown
            if row["backend"] == "torch":
                assert (row["training_throughput_median"], row["verified"]) == ("", "False")
                continue
            rate = entry["training_speed"]["rate"]["median"]
            assert float(row["training_throughput_median"]) == rate
            shown = words.ratio(float(row["training_times_numpy_median"]))
            assert f" {shown} " in text
            assert f"| {shown}" in markdown
        assert "9,000" not in text  # the speed of what is not verified

    def test_the_four_sources_are_there_and_a_task_without_any_is_no_error(
        self, tmp_path: Path
    ) -> None:
        text = Seen(page(tmp_path, [record("numpy")])).text
        for backend in backends.NAMES:
            assert f"backends/{backend}/fashion_mlp.py" in text
        assert "sources of this task" in Seen(page(tmp_path, [record("numpy", task="../x")])).text

    def test_there_may_be_any_number_of_backends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backends, "NAMES", 2 * backends.NAMES)
        assert "8 implementations" in Seen(page(tmp_path, [record("numpy")])).text

    def test_records_with_next_to_nothing_in_them(self, tmp_path: Path) -> None:
        bare = records.Record(SESSION, record("numpy").cell, "2026-01-01T00:00:00.000+00:00")
        text = Seen(page(tmp_path, [bare])).text  # the page's scripts know the word too
        assert "unknown: no repository that could be read tracks it" in text


class TestCommand:
    @pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours
    def test_it_writes_the_latest_session_and_adds_it_to_its_runs(
        self, tmp_path: Path, empty_store: Path
    ) -> None:
        results = tmp_path / "results"
        results.mkdir()
        shutil.copy(empty_store, results)
        tracker = Tracker(tracking.default_uri(results), results)
        for session in ("20260101-000000-aaaa", "20260102-000000-bbbb"):
            one = replace(record("numpy"), session=session)
            tracker.log(one, records.write(results, one))
        done = in_process(tmp_path, "report")
        assert done.returncode == 0, done.stderr
        folder = Path("results/reports/20260102-000000-bbbb")
        names = [str(folder / f"report.{kind}") for kind in ("html", "md", "csv", "json")]
        assert done.stdout.split() == names
        assert done.stderr == ""
        assert all((tmp_path / name).stat().st_size for name in names)
        store = MlflowClient(tracking.default_uri(results))
        experiment = store.get_experiment_by_name("fashion_mlp")
        assert experiment
        runs = store.search_runs([experiment.experiment_id])
        there = {r.info.run_name: store.list_artifacts(r.info.run_id, "report") for r in runs}
        assert {name: [a.path for a in found] for name, found in there.items() if found} == {
            "20260102-000000-bbbb quick cpu generated": ["report/report.html", "report/report.md"]
        }

    def test_sessions_are_taken_together_and_no_store_is_made(self, tmp_path: Path) -> None:
        sessions = ("20260101-000000-aaaa", "20260102-000000-bbbb")
        for seed, session in enumerate(sessions):
            records.write(tmp_path, replace(record("numpy", seed), session=session))
        reported.write(tmp_path, [], *reported.at_batches())
        asked = ("report", *sessions, reported.TIMED)
        done = in_process(tmp_path, *asked, "--results", str(tmp_path), "--output", "out")
        assert done.returncode == 0, done.stderr
        assert "not tracked: there is no MLflow store" in done.stderr
        assert not (tmp_path / "mlflow.db").exists()
        document = json.loads((tmp_path / "out" / "report.json").read_text())
        assert document["sessions"] == [reported.TIMED, *sessions]
        assert len(document["sections"][0]["batches"]) == 3
        assert document["sections"][0]["seeds"] == [0, 1]

    def test_a_request_that_cannot_be_met_is_refused(self, tmp_path: Path) -> None:
        assert_refused(in_process(tmp_path, "report"), "no results", "tetragrad run")
        reported.write(tmp_path / "results", [record("numpy")])
        assert_refused(in_process(tmp_path, "report", "../x"), "'../x' is no session, but a path")
        assert_refused(in_process(tmp_path, "report", "x"), "no session 'x'", SESSION)
        (tmp_path / "file").touch()
        done = in_process(tmp_path, "report", "--output", "file")
        assert_refused(done, "cannot be written to", "file (File exists)", "--output")

    def test_a_store_that_is_away_costs_nothing(self, tmp_path: Path) -> None:
        reported.write(tmp_path / "results", [record("numpy")])
        away = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        done = in_process(tmp_path, "report", "--tracking-uri", "http://127.0.0.1:9", **away)
        assert done.returncode == 0
        assert "not tracked: http://127.0.0.1:9" in done.stderr
        assert "report.html" in done.stdout
