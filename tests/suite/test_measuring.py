"""The clock, the statistics and the training loop that is clocked."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.numpy import fashion_mlp
from suite.clock import PHASES, Clock
from suite.contract import SGD, Array, Chunk, State, Tree
from suite.statistics import median_interval
from suite.training import Diverged, Training
from tests.tiny import STEPS, tiny_task


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40))
def test_the_interval_holds_the_median(values: list[float]) -> None:
    middle, low, high = median_interval(values)
    assert middle == np.median(values)
    assert min(values) <= low <= middle <= high <= max(values)


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    draws = rng.lognormal(0.0, 0.5, (300, 25))  # true median 1
    covered = sum(low <= 1 <= high for _, low, high in map(median_interval, draws.tolist()))
    assert 0.90 <= covered / 300 <= 0.99


def test_no_values_have_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        median_interval([])


def test_the_clock_keeps_phases_apart_and_counts_what_fails() -> None:
    clock = Clock()
    with clock.phase("train") as lap:
        time.sleep(0.02)
    with pytest.raises(KeyError), clock.phase("evaluate"):
        raise KeyError
    assert lap.seconds >= 0.02
    assert clock.seconds["train"] == lap.seconds
    assert clock.seconds["evaluate"] > 0
    assert set(clock.seconds) == set(PHASES)


class SlowProgram:
    """A program whose every call takes a known time, and whose first train and predict more."""

    def __init__(self, state: State, log: list[str]):
        self._state, self._log = state, log
        self._first = {"train", "predict"}

    def _work(self, name: str, seconds: float) -> None:
        self._log.append(name)
        time.sleep(seconds + (0.1 if name in self._first else 0))
        self._first.discard(name)

    def place(self, chunk: Chunk) -> Chunk:
        self._work("place", 0.001)
        return chunk

    def train(self, placed: Chunk) -> Array:
        self._work("train", 0.02)
        return np.ones(len(placed["labels"]))

    def predict(self, placed: Chunk) -> Tree:
        self._work("predict", 0.005)
        return {"logits": np.zeros((*placed["labels"].shape, 10))}

    def gradients(self, placed: Chunk) -> tuple[float, Tree]:
        raise AssertionError

    def state(self) -> State:
        return self._state

    def restore(self, state: State) -> None:
        self._log.append("restore")


def trained(program: Any, task: Any, initial: State) -> tuple[Clock, list[tuple[str, Any]]]:
    clock = Clock()
    events: list[tuple[str, Any]] = []
    training = Training(task, program, 0, clock, lambda event, **f: events.append((event, f)))
    training.run(initial)
    return clock, events


def test_phases_hold_what_they_say_and_warming_up_is_undone() -> None:
    task = tiny_task(chunk_steps=4)
    log: list[str] = []
    clock, events = trained(SlowProgram(task.initial(0), log), task, task.initial(0))
    epochs, chunks = task.config.epochs, STEPS // 4
    warm_up = ["place", "place", "train", "predict", "restore"]
    assert log[:5] == warm_up
    assert log[5:] == (["place", "train"] * chunks + ["predict"]) * epochs
    spent = clock.seconds
    assert spent["train"] == pytest.approx(sum(f["seconds"] for e, f in events if e == "chunk"))
    assert 0.02 * chunks * epochs <= spent["train"]
    assert 0.005 * epochs <= spent["evaluate"]
    # the extra seconds of both first calls, without what those calls would have taken anyway
    assert 0.15 < spent["compile"] < 0.35
    assert [f["epoch"] for e, f in events if e == "epoch"] == list(range(1, epochs + 1))


def test_divergence_is_reported_with_its_step() -> None:
    task = tiny_task(SGD(learning_rate=1e30))
    initial = task.initial(0)
    with (
        np.errstate(all="ignore"),
        pytest.raises(Diverged, match=r"the loss is (nan|inf) at step [2-9]"),
    ):
        trained(fashion_mlp.build(task, initial), task, initial)
