"""The clock, the statistics and the training loop that is clocked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.numpy import fashion_mlp
from suite.clock import PHASES, Clock
from suite.contract import SGD, Array, Chunk, Heatmap, State, Tree
from suite.curves import draw_curves
from suite.statistics import median_interval
from suite.training import Diverged, Training
from tests.suite.examples import example_record
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
    """A program whose every call takes a known time, and whose first train and predict more.

    The time is made up: ``now`` stands for ``time.perf_counter``. Other shapes are compiled anew.
    """

    def __init__(self, state: State, log: list[str]):
        self._state, self._log = state, log
        self._compiled: set[Any] = set()
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def _work(self, name: str, seconds: float, chunk: Chunk) -> None:
        self._log.append(name)
        shape = (name, chunk["labels"].shape)
        self._now += seconds + (0 if name == "place" or shape in self._compiled else 100)
        self._compiled |= {shape} if name != "place" else set()

    def compilations(self) -> int:
        return len(self._compiled)

    def place(self, chunk: Chunk) -> Chunk:
        self._work("place", 1, chunk)
        return chunk

    def train(self, placed: Chunk) -> Array:
        self._work("train", 20, placed)
        return np.ones(len(placed["labels"]))

    def predict(self, placed: Chunk) -> Tree:
        self._work("predict", 5, placed)
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


def test_phases_hold_what_they_say_and_warming_up_is_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = tiny_task(chunk_steps=4)
    log: list[str] = []
    program = SlowProgram(task.initial(0), log)
    monkeypatch.setattr("suite.clock.time.perf_counter", program.now)
    clock, events = trained(program, task, task.initial(0))
    epochs, chunks = task.config.epochs, STEPS // 4
    assert log[:5] == ["place", "place", "train", "predict", "restore"]
    assert log[5:] == (["place", "train"] * chunks + ["predict"]) * epochs
    assert clock.seconds == {
        "import": 0,
        "data": 0,
        "build": 0,
        "compile": 200,  # what both first calls took longer than steady ones
        "transfer": 2 + chunks * epochs,
        "train": 20 * chunks * epochs,
        "evaluate": 5 * epochs,
        "score": 0,
        "adapt": 0,
    }
    assert all(f["seconds"] == 20 for event, f in events if event == "chunk")
    ends = [(f["epoch"], f["train_seconds"]) for event, f in events if event == "epoch"]
    assert ends == [(e, 20 * chunks * e) for e in range(1, epochs + 1)]
    assert events[-1] == ("shown", {"texts": {}, "heatmaps": {}})


class TwoShapes:
    """A task whose training chunks come in two shapes, of which it names only ``named``."""

    def __init__(self, named: int):
        self._task, self._named = tiny_task(chunk_steps=4), named

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def chunks(self, split: str, seed: int = 0, epoch: int = 0) -> Iterator[Chunk]:
        for number, chunk in enumerate(self._task.chunks(split, seed, epoch)):
            half = {name: a[:2] for name, a in chunk.items()}
            yield half if split == "train" and number else chunk

    def shapes(self, seed: int) -> Iterator[Chunk]:
        return islice(self.chunks("train", seed), self._named)

    def adapt(self, epoch: int, predict: Any) -> TwoShapes:
        return self


@pytest.mark.parametrize(("named", "again", "trained_seconds"), [(2, 0, 20), (1, 1, 120)])
def test_every_shape_is_compiled_before_training_or_counted(
    monkeypatch: pytest.MonkeyPatch, named: int, again: int, trained_seconds: float
) -> None:
    task = TwoShapes(named)
    program: Any = SlowProgram(task.initial(0), [])
    monkeypatch.setattr("suite.clock.time.perf_counter", program.now)
    clock = Clock()
    training = Training(task, program, 0, clock, lambda event, **f: None)  # type: ignore[arg-type]
    training.run(task.initial(0))
    chunks = task.config.epochs * STEPS // 4
    assert training.compilations == {"first": 1 + named, "again": again}
    assert clock.seconds["train"] == 20 * (chunks - 1) + trained_seconds
    assert clock.seconds["compile"] == 100 * (1 + named)


def test_texts_are_made_by_the_trained_program(monkeypatch: pytest.MonkeyPatch) -> None:
    task = tiny_task()
    state = task.initial(0)
    program = fashion_mlp.build(task, state, 0)
    (test,) = task.chunks("test")
    monkeypatch.setattr(
        task, "texts", lambda predict: {"sum": f"{predict(test)['logits'].sum():.6f}"}
    )
    drawn = Heatmap(("a", "b"), ("c",), np.array([[1 / 3], [1]], np.float32))
    monkeypatch.setattr(task, "heatmaps", lambda predict: {"weights": drawn})
    _, events = trained(program, task, state)
    expected = program.predict(program.place(test))["logits"].sum()
    values = {"rows": ("a", "b"), "columns": ("c",), "values": [[0.3333], [1.0]]}
    shown = {"texts": {"sum": f"{expected:.6f}"}, "heatmaps": {"weights": values}}
    assert events[-1] == ("shown", shown)


def test_divergence_is_reported_with_its_step() -> None:
    task = tiny_task(SGD(learning_rate=1e30))
    initial = task.initial(0)
    with (
        np.errstate(all="ignore"),
        pytest.raises(Diverged, match=r"the loss is (nan|inf) at step [2-9]"),
    ):
        trained(fashion_mlp.build(task, initial, 0), task, initial)


def test_the_curves_of_a_cell_that_broke_off_before_its_first_epoch_are_drawn(
    tmp_path: Path,
) -> None:
    record = replace(example_record(), epochs=[], outcome="crashed")
    draw_curves(record, tmp_path / "curves.png")  # a warning would be an error
    assert (tmp_path / "curves.png").stat().st_size > 1_000
