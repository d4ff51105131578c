"""``tetragrad time``: one backend as two contestants, a delay in one of them, faults."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from suite.records import timing as timings
from suite.records.events import Event
from suite.records.record import Record
from suite.session.race import Race
from tests.suite.command import assert_refused, in_process
from tests.suite.examples import CELL, example_record

ASKED = ("--task", "fashion_mlp", "--profile", "smoke", "--data", "generated", "--limit", "0")
TWICE = ("--backend", "numpy", "--backend", "numpy")


def test_the_same_twice_is_two_contestants_that_nothing_is_trained_of(proved: Path) -> None:
    scales = ("--batch-scale", "1", "--batch-scale", "2")
    done = in_process(proved, "time", *ASKED, *TWICE, *scales, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    found, larger = document["timings"]["fashion_mlp"], document["timings"]["fashion_mlp x2"]
    assert (found["batch_scale"], larger["batch_scale"]) == (1, 2)
    assert (found["base"], list(found["contestants"])) == (
        "numpy:eager",
        ["numpy:eager", "numpy:eager#2"],
    )
    for one in found["contestants"].values():
        assert one["verified"]
        assert 0 < one["throughput"]["low"] <= one["throughput"]["high"]
    assert 0.3 < found["contestants"]["numpy:eager#2"]["ratio"]["median"] < 3
    assert document["failures"] == []
    kept = timings.of_session(proved / "results", document["session"])["fashion_mlp"]
    assert len(kept.samples) == found["rounds"] >= timings.LEAST_ROUNDS
    assert kept.ended
    assert kept.created < kept.ended  # both as texts of one form
    assert not (proved / "results" / "records").exists()
    assert not (proved / "results" / "mlflow.db").exists()


def test_any_backend_is_the_base_and_the_table_says_so(proved: Path) -> None:
    both = ("--backend", "numpy", "--backend", "torch", "--base", "torch")
    done = in_process(proved, "time", *ASKED, *both, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert "x torch:eager" in done.stdout
    assert "GENERATED DATA" in done.stdout


def test_a_timing_that_cannot_be_kept_is_shown_all_the_same(proved: Path) -> None:
    (proved / "results" / "timings").write_text("a file where the folder should be")
    done = in_process(proved, "time", *ASKED, "--backend", "numpy")
    assert done.returncode == 1
    assert "numpy:eager" in done.stdout
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--base", "jax"), ("--base jax", "numpy:eager")),
        (("--backend", "cupy"), ("cupy", "jax")),
        (("--profile", "huge"), ("huge", "smoke")),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, wrong: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(in_process(tmp_path, "time", *ASKED, *TWICE, *wrong), *words)


def together(commands: list[tuple[str, ...] | None], limit: float) -> tuple[Race, list[Record]]:
    records = [
        replace(example_record(), cell=replace(CELL, profile="smoke"), chunks=[], worker={})
        for _ in commands
    ]
    given = {id(r): {"command": c} if c else {} for r, c in zip(records, commands, strict=True)}
    heard: list[Event] = []
    found = Race(records, 60, limit, lambda _, event: heard.append(event), lambda r: given[id(r)])
    found.time()
    assert {event.event for event in heard} <= {"started", "further", "finished", "ended"}
    return found, records


def test_a_delay_in_one_of_two_alike_is_seen() -> None:
    delayed = (sys.executable, "-m", "tests.clock.delayed_worker", "3.0")
    found, records = together([None, delayed], limit=0)
    assert [r.outcome for r in records] == ["ok", "ok"]
    assert found.timing
    _, _, high = found.timing.ratio("numpy:eager#2", "numpy:eager")
    assert high < 0.9  # a quarter, but for what else the machine does meanwhile


def test_one_that_ends_leaves_the_other_to_be_timed() -> None:
    dies = (sys.executable, "-c", "raise SystemExit(3)")
    found, records = together([None, dies], limit=0)
    assert [r.outcome for r in records] == ["ok", "crashed"]
    assert found.timing
    assert [c.name for c in found.timing.contestants] == ["numpy:eager"]
