"""How long a run will take is told from earlier sessions, else from typical figures."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import tasks
from suite.records import record as records, timing as timings
from suite.records.cell import Cell
from suite.records.verdict import Verdict
from suite.session import forecast as forecasts, verdict_cache
from suite.session.forecast import ELSEWHERE, HERE, Forecast, figures, forecast
from suite.system.environment import machine
from tests.suite.examples import CELL, example_record, example_timing

BOTH = [replace(CELL, backend="numpy"), replace(CELL, backend="torch")]
PHASES = {"import": 2.0, "compile": 4.0, "train": 10.0, "evaluate": 1.0}


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasts, "at_once", lambda threads: 2)


@pytest.fixture
def typical(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "typical.json"
    cells = {"numpy:eager": PHASES, "torch:eager": PHASES}
    task = {"matmul": 1e10, "verifying": 30.0, "timed": 8.0, "cells": cells}
    path.write_text(json.dumps({"tasks": {"fashion_mlp": task}}))
    monkeypatch.setattr(forecasts, "TYPICAL", path)
    return path


def told(
    groups: list[list[Cell]], results: Path, proved: bool = False, rate: float = 1e10
) -> Forecast:
    return forecast(groups, results, 20.0, lambda group: proved, lambda cell: rate)


def a_session(results: Path, session: str = "20260101-000000-abcd") -> None:
    """Both backends, 17 s each, of which 6 at the beginning; 35 s from the start to the end."""
    for cell in BOTH:
        record = replace(example_record(session), cell=cell, phases=PHASES)
        records.write(results, replace(record, machine=dict(machine())))
    ended = "2026-01-01T00:00:35.000+00:00"
    timing = example_timing([0.1, 0.1, 0.1], [0.1, 0.1, 0.1])
    conditions = replace(timing.conditions, **asdict(CELL.shared))
    timings.write(results, replace(timing, session=session, conditions=conditions, ended=ended))
    verdict = Verdict("fashion_mlp", "numpy", "float32", 9, ())
    verdict_cache.write(results / "verified" / "a.json", verdict, {}, 25.0)


class TestTypical:
    def test_two_start_at_once_then_take_turns_and_are_timed(
        self, typical: Path, tmp_path: Path
    ) -> None:
        found = told([BOTH], tmp_path)
        assert found.seconds == (30 + 6 + 2 * 11 + 8,)
        assert found.sentence == f"about 66 s, {ELSEWHERE}: fashion_mlp 66 s"

    def test_a_slow_machine_takes_longer_but_for_the_timing(
        self, typical: Path, tmp_path: Path
    ) -> None:
        assert told([BOTH], tmp_path, rate=5e9).seconds == (2 * (30 + 6 + 22) + 8,)

    def test_what_is_proved_is_not_verified_again_nor_another_seed(
        self, typical: Path, tmp_path: Path
    ) -> None:
        assert told([BOTH], tmp_path, proved=True).seconds == (36,)
        again = [replace(cell, seed=4) for cell in BOTH]
        found = told([BOTH, again], tmp_path)
        assert found.seconds == (66, 36)
        assert (found.left(0), found.left(1), found.left(2)) == (102, 36, 0)
        assert found.sentence == f"about 2 min, {ELSEWHERE}: fashion_mlp 2 min"

    @pytest.mark.parametrize(
        "other",
        [
            replace(CELL, profile="full"),
            replace(CELL, options={"hidden": "9"}),
            replace(CELL, backend="mine"),
        ],
    )
    def test_of_what_is_not_typical_nothing_is_told(
        self, typical: Path, tmp_path: Path, other: Cell
    ) -> None:
        unknown = [other]
        assert told([unknown], tmp_path).sentence == ""
        both = told([BOTH, [replace(CELL, task="lstm")]], tmp_path)
        assert both.sentence == f"at least 66 s, {ELSEWHERE}: fashion_mlp 66 s, lstm unknown"


class TestEarlier:
    def test_a_session_here_counts_before_typical_figures(
        self, typical: Path, tmp_path: Path
    ) -> None:
        a_session(tmp_path)
        found = told([BOTH], tmp_path)
        assert found.seconds == (25 + 35,)
        assert found.basis == HERE

    def test_a_part_of_its_backends_takes_their_phases_and_the_limit(
        self, typical: Path, tmp_path: Path
    ) -> None:
        a_session(tmp_path)
        assert told([BOTH[:1]], tmp_path, proved=True).seconds == (17 + 20,)

    def test_what_cannot_be_read_tells_nothing(self, typical: Path, tmp_path: Path) -> None:
        a_session(tmp_path)
        for kind in ("verified", "timings/20260101-000000-abcd", "records/20260101-000000-abcd"):
            for path in (tmp_path / kind).glob("*.json"):
                path.write_text("{")
        assert told([BOTH], tmp_path).basis == ELSEWHERE

    def test_another_machine_s_session_does_not_count(
        self, typical: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a_session(tmp_path)
        monkeypatch.setattr(forecasts, "machine", lambda: {"cpu": "another"})
        assert told([BOTH], tmp_path).basis == ELSEWHERE

    def test_figures_of_a_session_are_what_is_typical(self, typical: Path, tmp_path: Path) -> None:
        a_session(tmp_path)
        typical.write_text(json.dumps(figures(tmp_path, "20260101-000000-abcd")))
        assert told([BOTH], tmp_path / "elsewhere").seconds == (25 + 35,)


def test_figures_of_every_task_are_there() -> None:
    document = json.loads(forecasts.TYPICAL.read_text(encoding="utf-8"))
    labels = {f"{n}:{v}" if v else n for n, v in tasks.chosen(tasks.names())}
    assert document["tasks"].keys() == labels
