"""Whose products a machine's rate is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suite.records import events
from suite.records.cell import Cell, Conditions
from suite.records.events import Ended, Outcome
from suite.session import preparation
from suite.session.plan import Plan
from suite.session.process import Ending
from suite.show.progress import Terminal
from tests.suite.examples import CELL

RATES = {"numpy": 1e9, "torch": 3e9, "tensorflow": 4e9, "jax": 2e9}
PLAN = Plan((), (), Conditions(profile="smoke"), range(1), "generated", 9.0, 9.0)


class Measured:
    """Workers that say what is in ``RATES``; TensorFlow's fails."""

    def __init__(self) -> None:
        self.asked: list[Cell] = []

    def __call__(self, cell: Cell, kind: str, on_event: Any, timeout: float) -> Ending:
        assert kind == "machine"
        self.asked.append(cell)
        if cell.backend == "tensorflow":
            return Ending(Outcome.CRASHED, "was killed")
        on_event(events.Measured({"matmul": RATES[cell.backend]}))
        on_event(Ended(Outcome.OK))
        return Ending(Outcome.OK, None)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    found = Measured()
    monkeypatch.setattr(preparation, "launch", found)
    return found


def cells(**facts: str) -> list[Cell]:
    changed: Any = facts
    return [replace(CELL, backend=name, **changed) for name in ("torch", "jax", "tensorflow")]


def test_in_float32_on_the_cpu_it_is_numpys(measured: Measured, tmp_path: Path) -> None:
    found = cells()
    prepared = preparation.Preparation(PLAN, tmp_path, Terminal())
    for cell in found:
        assert prepared._attainable(cell, found) == {"matmul": 1e9}
    assert [cell.backend for cell in measured.asked] == ["numpy"]


@pytest.mark.parametrize("facts", [{"device": "cuda"}, {"precision": "bfloat16"}])
def test_elsewhere_it_is_the_highest_of_those_compared(
    measured: Measured, facts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = cells(**facts)
    others = [replace(CELL, backend="numpy", device="cuda:1")]
    prepared = preparation.Preparation(PLAN, tmp_path, Terminal())
    for cell in found:
        assert prepared._attainable(cell, found + others) == {"matmul": 3e9}
    assert [cell.backend for cell in measured.asked] == ["torch", "jax", "tensorflow"]
    assert {(c.device, c.precision) for c in measured.asked} == {(cell.device, cell.precision)}
    assert "no efficiency by tensorflow: measuring was killed" in capsys.readouterr().err
