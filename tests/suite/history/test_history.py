"""``tetragrad history`` on a real MLflow store: what makes a series, the page, the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from suite.cli import history as command
from suite.history import page, telling
from suite.history.series import History, build
from suite.tracking.tracker import Tracker
from tasks.task import RequestError
from tests.suite.command import assert_refused, in_process
from tests.suite.history.past import past, send, session
from tests.suite.pages import Seen
from tests.suite.reported import HOSTILE

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours
CHOICE = ("fashion_mlp", None)


def cells() -> Iterator[Any]:
    """Eight days of NumPy and JAX, which is a fifth slower from the fifth on; then the rest."""
    for day in range(1, 9):
        yield past(day, "numpy", 1 + 0.001 * day)
        yield past(day, "jax", (4 if day < 5 else 4 / 1.2) + 0.001 * day)
    yield past(8, "numpy", 1.2, seed=1)
    for day in (1, 2):
        yield past(day, "torch", 9, verified=day == 1)
        yield past(day, "jax", 7, profile="full")
        yield past(day, "numpy", threads=2)
    yield past(2, "torch", 9, seed=1)  # the other seed of which is not verified
    yield past(1, "torch", mode="compile", packages={"numpy": "2.4.6", "torch": "2.12.0"})
    yield past(3, "tensorflow", outcome="crashed", reason="why")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("history")
    shutil.copy(empty_store, folder)
    send(folder, cells())
    return folder


@pytest.fixture(scope="module")
def tracker(results: Path) -> Tracker:
    return send(results, [])


@pytest.fixture(scope="module")
def history(tracker: Tracker) -> History:
    return build(tracker, CHOICE, find_steps=True)


def values(history: History, name: str) -> list[float]:
    (found,) = (series for series in history.series if series.name == name)
    return [round(point.value) for point in found.points]


class TestSeries:
    def test_every_backend_and_mode_has_one_over_the_sessions(self, history: History) -> None:
        names = [series.name for series in history.series]
        assert names == ["numpy:eager", "torch:eager", "torch:compile", "jax:jit"]
        assert history.metric == "samples_per_second"
        assert values(history, "jax:jit") == [4001, 4002, 4003, 4004, 3338, 3339, 3340, 3341]
        assert [s.id for s in history.sessions] == [session(day) for day in range(1, 9)]
        assert [s.commit[0] for s in history.sessions] == [*"12345678"]
        assert [s.revision for s in history.sessions][:2] == ["1111111", "2222222+"]
        assert history.sessions[2].created == "2026-03-03T00:00:00+00:00"

    def test_seeds_of_a_session_are_one_point(self, history: History) -> None:
        point = history.series[0].points[-1]
        assert point.seeds == 2
        assert (point.low, point.value, point.high) == pytest.approx((1008, 1104, 1200))

    def test_other_conditions_are_not_joined_but_named(
        self, tracker: Tracker, history: History
    ) -> None:
        others = {(c.profile, c.conditions.threads): n for c, n in history.others.items()}
        assert others == {("full", 1): 2, ("quick", 2): 2}
        full = build(tracker, CHOICE, profile="full")
        assert values(full, "jax:jit") == [7000, 7000]
        assert full.conditions.profile == "full"

    @pytest.mark.parametrize(
        "change",
        [
            {"data": "real"},
            {"device": "cuda"},
            {"precision": "float64"},
            {"early_stopping": 3},
            {"options": {"beam": "4"}},
            {"provenance": {"digest": "ff00"}},
            {"machine": {"cpu": "another", "python": "3.11"}},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_every_condition_parts_series(
        self, change: dict[str, Any], tmp_path: Path, empty_store: Path
    ) -> None:
        shutil.copy(empty_store, tmp_path)
        tracker = send(tmp_path, [past(1, "numpy"), past(2, "numpy", **change)])
        found = build(tracker, CHOICE)
        assert [len(series.points) for series in found.series] == [1]
        assert [*found.others.values()] == [1]
        (other,) = found.others
        assert str(other) != str(found.conditions)

    def test_the_speed_of_what_is_not_verified_does_not_count_but_its_quality_does(
        self, tracker: Tracker, history: History
    ) -> None:
        assert values(history, "torch:eager") == [9000]
        assert history.unverified == {"torch:eager": (session(2),)}
        assert "torch:eager is NOT VERIFIED in 1 session" in " ".join(telling.notices(history))
        for metric in ("phase_seconds/train", "efficiency", "samples_per_second_low"):
            timed = build(tracker, CHOICE, metric)
            assert [len(s.points) for s in timed.series if s.name == "torch:eager"] == [1]
        quality = build(tracker, CHOICE, "test_accuracy")
        assert [len(s.points) for s in quality.series if s.name == "torch:eager"] == [2]

    def test_what_is_not_there_is_refused_with_what_is(self, tracker: Tracker) -> None:
        with pytest.raises(RequestError, match=r"'speed'.*test_accuracy"):
            build(tracker, CHOICE, "speed")
        with pytest.raises(RequestError, match=r"tensorflow:graph; it has: jax:jit, numpy:eager, "):
            build(tracker, CHOICE, wanted=[("tensorflow", "graph")])
        with pytest.raises(RequestError, match=r"'smoke'; it has: .*full"):
            build(tracker, CHOICE, profile="smoke")
        with pytest.raises(RequestError, match="no cell of imdb_text:bow"):
            build(tracker, ("imdb_text", "bow"))

    def test_backends_can_be_chosen(self, tracker: Tracker) -> None:
        found = build(tracker, CHOICE, wanted=[("jax", "jit")])
        assert [series.name for series in found.series] == ["jax:jit"]


class TestSteps:
    def test_a_step_is_told_with_its_date_commit_and_factor(self, history: History) -> None:
        said = telling.step_sentences(history)
        assert said[0] == "numpy:eager: no step of 5% or more"
        (jax,) = (line for line in said if line.startswith("jax:jit"))
        assert "fell by a factor of 0.834 at 2026-03-05 00:00, commit 5555555" in jax
        assert "from 4,002 to 3,340" in jax
        assert "torch:eager: 1 session, too few" in " ".join(said)

    def test_versions_that_changed_at_a_step_and_a_creep_are_told(
        self, tmp_path: Path, empty_store: Path
    ) -> None:
        shutil.copy(empty_store, tmp_path)
        new = {"numpy": "2.5.0"}
        changes: dict[int, Any] = {day: {"packages": new} if day > 2 else {} for day in range(1, 7)}
        found = (past(day, "numpy", 0.8 ** ((day - 1) // 2), **changes[day]) for day in range(1, 7))
        history = build(send(tmp_path, found), CHOICE, find_steps=True)
        first, second, together = telling.step_sentences(history)
        assert "versions that changed: numpy 2.4.6 to 2.5.0" in first
        assert "versions" not in second
        assert "2 steps from 2026-03-03 to 2026-03-05" in together
        assert "factor of 0.64" in together

    def test_values_without_a_logarithm_are_refused(
        self, tmp_path: Path, empty_store: Path
    ) -> None:
        shutil.copy(empty_store, tmp_path)
        epoch = {"epoch": 1, "train_seconds": 1.0, "metrics": {"train_loss": 0.0, "test_loss": 1.0}}
        tracker = send(tmp_path, [past(1, "numpy", epochs=[epoch])])
        with pytest.raises(RequestError, match=f"train_loss of numpy:eager is 0 in.*{session(1)}"):
            build(tracker, CHOICE, "train_loss", find_steps=True)


class TestPage:
    def test_it_has_the_figures_the_steps_and_the_values(self, history: History) -> None:
        html = page.render(history)
        seen = Seen(html)
        plots = [a for tag, a in seen.tags if a.get("class") == "plot"]
        assert len(plots) == 1 + len(history.series)
        assert all(a["role"] == "img" and a["aria-label"] for a in plots)
        assert "logarithmic scale" in str(plots[0]["aria-label"])
        for text in ("GENERATED DATA", "3,341", "NOT verified", "commit 5555555", "quick"):
            assert text in seen.text
        links = [a.get("src") or a.get("href") or "" for _, a in seen.tags]
        assert {link[:1] for link in links if link} == {"d"}  # the empty icon, data:
        assert html.count("plotly.js v") == 1

    def test_hostile_words_stay_words(self, tmp_path: Path, empty_store: Path) -> None:
        shutil.copy(empty_store, tmp_path)
        cell = past(1, "numpy", machine={"cpu": HOSTILE}, options={"sentence": HOSTILE})
        tracker = send(tmp_path, [cell, past(2, "numpy", machine={"cpu": HOSTILE})])
        found = build(tracker, CHOICE)
        seen = Seen(page.render(found))
        assert " ".join(HOSTILE.split()) in seen.text
        assert [tag for tag, _ in seen.tags].count("script") == 3
        assert not [tag for tag, _ in seen.tags if tag == "img"]
        telling.print_history(found, Console(quiet=True))


class TestCommand:
    def test_it_prints_the_table_and_writes_the_page(self, results: Path, tmp_path: Path) -> None:
        done = in_process(tmp_path, "history", "fashion_mlp", "--steps", "--results", str(results))
        assert done.returncode == 0, done.stderr
        *_, last = done.stdout.splitlines()
        assert last == str(results / "history" / "fashion_mlp-samples_per_second.html")
        assert Path(last).read_text().startswith("<!doctype html>")
        assert "3,341" in done.stdout
        assert "commit 5555555" in done.stdout
        assert "2 sessions of full" in done.stdout

    def test_json_is_the_only_thing_printed(
        self, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        metric = "phase_seconds/train"
        command.history(
            *("fashion_mlp", metric, ["jax"]),
            steps=True,
            as_json=True,
            results=results,
            output_folder=tmp_path / "out",
        )
        document = json.loads(capsys.readouterr().out)
        (jax,) = document["series"]
        assert (jax["backend"], jax["mode"], jax["steps"]) == ("jax", "jit", [])
        assert [point["value"] for point in jax["points"]] == [0.5] * 8
        assert document["conditions"]["profile"] == "quick"
        page = tmp_path / "out" / "fashion_mlp-phase_seconds-train.html"
        assert document["page"] == str(page)
        assert page.stat().st_size > 1e6

    def test_a_request_that_cannot_be_met_is_refused(self, results: Path, tmp_path: Path) -> None:
        assert_refused(
            in_process(tmp_path, "history", "fashion_mlp"), "no MLflow store", "tetragrad run"
        )
        with pytest.raises(RequestError, match="fewshot:all is 3 tasks"):
            command.history("fewshot:all")
        (tmp_path / "file").touch()
        with pytest.raises(RequestError, match=r"cannot be written to .*file .*--output"):
            command.history("fashion_mlp", results=results, output_folder=tmp_path / "file")
