"""Timed and proved are one: the first losses of a cell's own training are the oracle's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tasks
from suite.records.events import Outcome
from suite.records.record import Record
from suite.session import trajectory
from suite.session.process import Ending
from suite.session.trajectory import Trajectories
from tests.suite.examples import example_record

ORACLES = np.array([2.3, 2.1, 1.9, 1.8, 1.6])


def judged(
    monkeypatch: pytest.MonkeyPatch, oracle: Ending | np.ndarray[Any, Any], losses: list[float]
) -> Record:
    """A record whose proof holds, after its first losses were held against those of the oracle."""

    def launch(*_: Any, output: str, **__: Any) -> Ending:
        if isinstance(oracle, Ending):
            return oracle
        np.savez(Path(output), losses=oracle)
        return Ending(Outcome.OK, None)

    monkeypatch.setattr(trajectory, "launch", launch)
    record = example_record()
    record.equivalence = {"findings": ()}
    trajectories = Trajectories(None)
    trajectories.prepare(record.cell)
    trajectories.judge(record, np.array(losses), tasks.load("fashion_mlp", "full", "generated"))
    return record


@pytest.mark.parametrize(
    ("path", "verified"),
    [
        (lambda losses: losses * (1 + 1e-5), True),  # as rounding leaves them
        (lambda losses: np.append(losses, 1.5), True),
        (lambda losses: losses[[0, 0, 1, 2, 3]], False),  # the loss of the first step twice
        (lambda losses: losses[[0, 2, 3, 4, 4]], False),  # a step was skipped
        (lambda losses: losses[:3], False),
        (lambda losses: losses[:0], False),
        (lambda losses: losses * np.nan, False),
    ],
)
def test_first_losses_are_those_of_the_oracle(
    monkeypatch: pytest.MonkeyPatch,
    path: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
    verified: bool,
) -> None:
    record = judged(monkeypatch, ORACLES, list(path(ORACLES)))
    assert record.verified is verified
    assert record.equivalence
    (finding,) = record.equivalence["findings"]
    assert (finding["quantity"], finding["passed"]) == ("timed losses", verified)


def test_they_are_not_judged_where_a_task_drops_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The random numbers are each framework's own, and the oracle gives no losses."""
    record = judged(monkeypatch, np.empty(0), [7.0, 7.0])
    assert record.verified
    assert record.equivalence == {"findings": ()}


def test_nothing_is_shown_by_an_oracle_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    record = judged(monkeypatch, Ending(Outcome.CRASHED, "exit code 9"), list(ORACLES))
    assert not record.verified
    assert record.equivalence
    (finding,) = record.equivalence["findings"]
    assert not finding["passed"]
    assert "exit code 9" in finding["where"]
