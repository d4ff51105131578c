"""The clock, the statistics and the training loop that is clocked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backends.numpy import fashion_mlp
from suite.records.events import (
    ChunkTimed,
    ChunkTrained,
    EpochEnded,
    Event,
    Outcome,
    Shown,
    Waiting,
)
from suite.records.statistics import median_interval
from suite.tracking.curves import draw_curves
from suite.worker.clock import PHASES, Clock
from suite.worker.training import Diverged, Training
from tasks.optimizers import SGD
from tasks.task import Array, Chunk, Heatmap, State, Tree
from tests.backends.programs import assert_same
from tests.suite.examples import example_record
from tests.tiny import HIDDEN, STEPS, tiny_task


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40))
def test_the_interval_holds_the_median(values: list[float]) -> None:
    middle, low, high = median_interval(values)
    assert middle == np.median(values)
    assert min(values) <= low <= middle <= high <= max(values)


@pytest.mark.parametrize("count", [8, 25])
def test_the_interval_covers_the_true_median_about_as_often_as_it_says(count: int) -> None:
    rng = np.random.default_rng(0)
    draws = rng.lognormal(0.0, 0.05, (600, count))  # true median 1
    covered = sum(low <= 1 <= high for _, low, high in map(median_interval, draws.tolist()))
    assert 0.93 <= covered / 600 <= 0.98


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
    assert clock.processor_seconds["train"] < 0.015  # it slept
    with clock.phase("evaluate"):
        busy = time.process_time() + 0.02
        while time.process_time() < busy:
            pass
    assert clock.processor_seconds["evaluate"] >= 0.02
    assert clock.processor_seconds["train"] < 0.015
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
        widths = {"logits": 10, "hidden": HIDDEN}
        return {name: np.zeros((*placed["labels"].shape, n)) for name, n in widths.items()}

    def gradients(self, placed: Chunk) -> tuple[float, Tree]:
        raise AssertionError

    def state(self) -> State:
        self._now += 7
        return self._state

    def restore(self, state: State) -> None:
        self._log.append("restore")


def trained(program: Any, task: Any, initial: State) -> tuple[Clock, list[Event]]:
    clock = Clock()
    events: list[Event] = []
    Training(task, program, 0, clock, events.append, lambda: True).run(initial)
    return clock, events


def test_phases_hold_what_they_say_and_warming_up_is_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = tiny_task(chunk_steps=4)
    log: list[str] = []
    program = SlowProgram(task.initial(0), log)
    monkeypatch.setattr("suite.worker.clock.time.perf_counter", program.now)
    clock, events = trained(program, task, task.initial(0))
    epochs, chunks = task.config.epochs, STEPS // 4
    assert log[:5] == ["place", "train", "place", "predict", "restore"]
    shown = ["place", "predict"]  # for the heat map
    assert log[5:] == (["place", "train"] * chunks + ["predict"]) * epochs + shown
    assert clock.seconds == {
        "import": 0,
        "data": 0,
        "build": 0,
        "compile": 200,  # what both first calls took longer than steady ones
        "transfer": 2 + chunks * epochs,
        "train": 20 * chunks * epochs,
        "evaluate": 5 * epochs,
        "score": 1 + 5,
        "adapt": 0,
    }
    assert {e.seconds for e in events if isinstance(e, ChunkTrained)} == {20}
    ends = [(e.epoch, e.train_seconds) for e in events if isinstance(e, EpochEnded)]
    assert ends == [(e, 20 * chunks * e) for e in range(1, epochs + 1)]
    assert isinstance(events[-1], Shown)
    assert (events[-1].texts, list(events[-1].heatmaps)) == ({}, ["mean activation, hidden"])


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
    monkeypatch.setattr("suite.worker.clock.time.perf_counter", program.now)
    clock = Clock()
    whole: Any = task
    training = Training(whole, program, 0, clock, lambda event: None, lambda: True)
    training.run(task.initial(0))
    chunks = task.config.epochs * STEPS // 4
    assert training.compilations == {"first": 1 + named, "again": again}
    assert clock.seconds["train"] == 20 * (chunks - 1) + trained_seconds
    assert clock.seconds["compile"] == 100 * (1 + named)


def test_it_takes_a_turn_for_every_chunk_and_goes_on_while_there_are_more() -> None:
    task = tiny_task(chunk_steps=4)
    state = task.initial(0)
    events: list[Event] = []
    left = [STEPS // 4 * task.config.epochs + 5]

    def turn() -> bool:
        left[0] -= 1
        events.append(Waiting())
        return left[0] >= 0

    program = fashion_mlp.build(task, state, 0)
    training = Training(task, program, 0, Clock(), events.append, turn)
    training.run(state)
    assert left == [5]
    kinds = [type(event) for event in events if isinstance(event, Waiting | ChunkTrained)]
    assert kinds == [Waiting, ChunkTrained] * (STEPS // 4 * task.config.epochs)
    before = len(events)
    training.go_on()
    assert left == [-1]
    assert [type(event) for event in events[before:]] == [*[Waiting, ChunkTimed] * 5, Waiting]
    chunk = next(task.chunks("train"))
    for said in (next(e for e in events if isinstance(e, ChunkTrained)), events[-2]):
        assert isinstance(said, ChunkTrained | ChunkTimed)
        assert said.samples == task.samples(chunk)
        assert said.operations == task.operations(chunk)
        assert len(said.losses) == task.config.chunk_steps


class Scripted:
    """The tiny task with given test losses by epoch; it alternates, and its texts say so."""

    def __init__(self, losses: list[float], epoch: int = 0):
        self._task, self._losses, self._epoch = tiny_task(), losses, epoch
        self.config = replace(self._task.config, epochs=len(losses))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def adapt(self, epoch: int, predict: Any) -> Scripted:
        return Scripted(self._losses, epoch + 1)

    def score(self, results: Any) -> dict[str, float]:
        return {"test_loss": self._losses[self._epoch - 1]}

    def texts(self, predict: Any) -> dict[str, str]:
        (test,) = self._task.chunks("test")
        return {"sum": f"{predict(test)['logits'].sum():.6f} of epoch {self._epoch}"}


def stopped_early(losses: list[float], patience: int | None) -> tuple[State, Any, Clock]:
    """The trained state, the events by name and the clock."""
    task: Any = Scripted(losses)
    initial, clock = task.initial(0), Clock()
    program = fashion_mlp.build(task, initial, 0)
    events: dict[str, list[Any]] = {}

    def send(event: Event) -> None:
        events.setdefault(event.event, []).append(asdict(event))

    Training(task, program, 0, clock, send, lambda: True, patience).run(initial)
    return program.state(), events, clock


@pytest.mark.parametrize(
    ("losses", "patience", "epoch", "best"),
    [
        ([3.0, 2.0, 2.5, 2.6, 1.0, 1.0], 2, 4, 2),
        ([3.0, 2.0, 2.5, 2.6, 1.0, 1.0], 1, 3, 2),
        ([3.0, 2.0, 2.5, 2.6, 1.0, 1.1], 3, 6, 5),
        ([2.0, 2.0, 2.0, 1.0], 2, 3, 1),  # as low is not lower
        ([3.0, 2.0, 1.0], 2, 3, 3),
    ],
)
def test_training_ends_after_the_patience_and_goes_back_to_the_best_epoch(
    losses: list[float], patience: int, epoch: int, best: int
) -> None:
    state, events, _ = stopped_early(losses, patience)
    assert events["stopped"] == [{"stopped": {"epoch": epoch, "best": best}}]
    assert [e["metrics"]["test_loss"] for e in events["epoch"]] == losses[:epoch]
    expected, until_best, _ = stopped_early(losses[:best], None)
    assert_same(state, expected, 0)
    assert "stopped" not in until_best
    assert events["shown"] == until_best["shown"]  # by the model and the task of the best epoch


def test_a_task_s_own_patience_holds_unless_another_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Scripted, "patience", 2, raising=False)
    losses = [3.0, 2.0, 2.5, 2.6, 1.0, 1.0]
    for asked, epoch in ((None, 4), (1, 3)):
        _, events, _ = stopped_early(losses, asked)
        assert events["stopped"] == [{"stopped": {"epoch": epoch, "best": 2}}]


def test_keeping_the_best_epoch_takes_no_train_time(monkeypatch: pytest.MonkeyPatch) -> None:
    task: Any = Scripted([3.0, 2.0, 1.0])
    initial, clock = task.initial(0), Clock()
    program: Any = SlowProgram(initial, [])
    monkeypatch.setattr("suite.worker.clock.time.perf_counter", program.now)
    Training(task, program, 0, clock, lambda event: None, lambda: True, 2).run(initial)
    assert clock.seconds["train"] == 20 * 3 * STEPS // 4
    assert clock.seconds["transfer"] == 2 + 3 * STEPS // 4 + 3 * 7


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

    def pictures(state: Callable[[], State]) -> dict[str, Heatmap]:
        step = np.array([[state().step]])
        return {"steps": Heatmap(("a",), ("b",), step, "Read.", ("x", "y"))}

    monkeypatch.setattr(task, "pictures", pictures)
    _, events = trained(program, task, state)
    expected = program.predict(program.place(test))["logits"].sum()
    values: dict[str, Any] = {"rows": ("a", "b"), "columns": ("c",), "values": [[0.3333], [1.0]]}
    steps: dict[str, Any] = {
        "rows": ("a",),
        "columns": ("b",),
        "values": [[float(program.state().step)]],
    }
    steps |= {"meaning": "Read.", "axes": ("x", "y")}
    assert program.state().step > 0
    shown = {"weights": values, "steps": steps}
    assert events[-1] == Shown({"sum": f"{expected:.6f}"}, shown)


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
    record = replace(example_record(), epochs=[], outcome=Outcome.CRASHED)
    draw_curves(record, tmp_path / "curves.png")  # a warning would be an error
    assert (tmp_path / "curves.png").stat().st_size > 1_000
