"""A session shows each task's results as soon as they are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from suite.records import builder, record as records
from suite.records.cell import Cell, Conditions
from suite.session.plan import Plan
from suite.session.runner import Runner, Session
from suite.show.progress import Terminal
from suite.tracking.tracker import Tracker

CHOICES = (("perceptron", "xor"), ("regression", None))
PLAN = Plan(
    CHOICES, (("numpy", "eager"),), Conditions(profile="smoke"), range(2), "generated", 9.0, 9.0
)
Seen = tuple[Runner, list[Any], set[int]]


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """A runner that trains nothing; what it trains and shows, in order; seeds without room."""
    told: list[Any] = []
    broken: set[int] = set()

    def done(self: Runner, group: Sequence[Cell], *rest: object) -> None:
        told.extend(cell.label for cell in group)
        if group[0].seed in broken:
            raise records.NotWritten("no room")
        self.session.records += [builder.begin(self.session.id, cell) for cell in group]

    def show(part: Session) -> None:
        told.append([record.cell.label for record in part.records])

    monkeypatch.setattr(Runner, "_run_group", done)
    return Runner(PLAN, tmp_path, Tracker("none", tmp_path), Terminal(), show=show), told, broken


def labels(task: str) -> list[str]:
    return [f"{task}-numpy-eager-cpu-float32-seed{seed}" for seed in (0, 1)]


def test_a_task_is_shown_when_its_last_seed_is_done(seen: Seen) -> None:
    runner, told, _ = seen
    runner.run()
    xor, regression = labels("perceptron-xor"), labels("regression")
    assert told == [*xor, xor, *regression, regression]


def test_what_could_be_written_is_shown(seen: Seen) -> None:
    runner, told, broken = seen
    broken.add(1)
    assert runner.run().not_written
    xor = labels("perceptron-xor")
    assert told == [*xor, xor[:1]]
