"""Checkpoints: training that goes on from one ends as training that was never broken off."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.numpy import autoencoder, fashion_mlp
from suite.records.checkpoints import Checkpoints, discard, path_of
from suite.records.events import Event, line
from suite.worker.clock import Clock
from suite.worker.training import Training
from tasks.optimizers import Adam
from tasks.task import Task
from tests.backends.programs import assert_same
from tests.tasks.tiny_autoencoder import tiny_joint
from tests.tiny import tiny_task

FACTS = {"cell": "a", "versions": "1"}
SEED = 4


class Killed(Exception):
    """Stands for the end of the process."""


@dataclass
class Run:
    """A training of a task in NumPy, and what it reported."""

    task: Task
    build: Callable[..., Any]
    checkpoints: Checkpoints | None = None
    patience: int | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def to_the_end(self, turns: int | None = None) -> Run:
        """Trains; Killed where turn number ``turns`` would begin."""
        state = self.task.initial(SEED)
        self.program = self.build(self.task, state, SEED)
        left = iter(range(turns) if turns is not None else iter(int, 1))

        def turn() -> bool:
            if next(left, None) is None:
                raise Killed
            return True

        def send(event: Event) -> None:
            self.events.append(json.loads(line(event)))

        clocked = (SEED, self.clock, send, turn, self.patience, self.checkpoints)
        Training(self.task, self.program, *clocked).run(state)
        return self

    def reported(self, kind: str) -> list[Any]:
        """Losses of chunks or metrics of epochs, those of before a resumption included."""
        return [event["losses" if kind == "chunk" else "metrics"] for event in self.all(kind)]

    def all(self, kind: str) -> list[Any]:
        """All reports of chunks or epochs, those of before a resumption included."""
        found = []
        for event in self.events:
            if event["event"] == "resumed":
                found = list(event[f"{kind}s"])
            elif event["event"] == kind:
                found.append(event)
        return found


def mlp() -> tuple[Task, Callable[..., Any]]:
    return tiny_task(Adam(1e-2, 0.9, 0.999, 1e-8)), fashion_mlp.build


def joint() -> tuple[Task, Callable[..., Any]]:
    return tiny_joint(), autoencoder.build


def checkpoints(folder: Path, **facts: str) -> Checkpoints:
    return Checkpoints(path_of(folder, "s1", "cell"), 0.0, {**FACTS, **facts})


@pytest.mark.parametrize("patience", [None, 2])
@pytest.mark.parametrize("make", [mlp, joint])
def test_broken_off_anywhere_it_ends_the_same_to_the_bit(
    tmp_path: Path, make: Callable[[], tuple[Task, Callable[..., Any]]], patience: int | None
) -> None:
    whole = Run(*make(), patience=patience).to_the_end()
    turns = len(whole.reported("chunk"))
    assert turns > 4
    for at in {1, 2, 3, turns // 2, turns - 1}:
        folder = tmp_path / str(at)
        with pytest.raises(Killed):
            Run(*make(), checkpoints(folder), patience).to_the_end(at)
        resumed = Run(*make(), checkpoints(folder), patience).to_the_end(turns - at)
        assert [e["step"] for e in resumed.events if e["event"] == "resumed"]
        assert resumed.reported("chunk") == whole.reported("chunk")
        assert resumed.reported("epoch") == whole.reported("epoch")
        assert_same(resumed.program.state(), whole.program.state(), 0)
        seconds = sum(chunk["seconds"] for chunk in resumed.all("chunk"))
        assert resumed.all("epoch")[-1]["train_seconds"] == pytest.approx(seconds)


def test_a_checkpoint_is_made_every_so_many_seconds_of_training(tmp_path: Path) -> None:
    timed = Checkpoints(tmp_path / "c.npz", 10.0, FACTS)
    assert [timed.due(s) for s in (0.0, 9.9, 10.0)] == [False, False, True]
    with pytest.raises(Killed):
        Run(*mlp(), timed).to_the_end(3)
    assert not timed.path.exists()  # that took no ten seconds
    with pytest.raises(Killed):
        Run(*mlp(), replace(timed, every=0.0)).to_the_end(3)
    snapshot = timed.load(mlp()[0])
    assert snapshot
    before = snapshot.seconds["train"]
    resumed = Run(*mlp(), timed)
    with pytest.raises(Killed):
        resumed.to_the_end(0)
    processor_seconds = resumed.clock.processor_seconds["train"]
    assert processor_seconds == snapshot.processor_seconds["train"] > 0
    often = replace(timed, every=before / 2)
    assert often.load(mlp()[0])
    assert [often.due(before * part) for part in (1.4, 1.6)] == [False, True]


@pytest.mark.parametrize("fact", ["cell", "versions"])
def test_with_other_facts_training_begins_anew(tmp_path: Path, fact: str) -> None:
    with pytest.raises(Killed):
        Run(*mlp(), checkpoints(tmp_path)).to_the_end(2)
    assert checkpoints(tmp_path).load(mlp()[0])
    assert checkpoints(tmp_path, **{fact: "other"}).load(mlp()[0]) is None


def test_one_that_is_damaged_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = checkpoints(tmp_path)
    assert made.load(mlp()[0]) is None  # none yet
    with pytest.raises(Killed):
        Run(*mlp(), made).to_the_end(2)
    whole = made.path.read_bytes()
    middle = len(whole) // 2
    flipped = bytes([whole[middle] ^ 1])
    for content in (b"", b"junk", whole[:middle], whole[:middle] + flipped + whole[middle + 1 :]):
        made.path.write_bytes(content)
        assert made.load(mlp()[0]) is None
        assert "begins anew" in capsys.readouterr().err
    with made.path.open("wb") as file:
        np.savez(file, document=np.array([{"pickled": 1}], object))
    assert made.load(mlp()[0]) is None


def test_where_it_cannot_be_written_training_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    run = Run(*mlp(), checkpoints(tmp_path / "file")).to_the_end()
    assert run.reported("epoch")
    assert "no checkpoint" in capsys.readouterr().err


def test_it_is_no_part_of_any_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every checkpoint stops the clocks' time, and no phase notices."""
    now = 0.0
    save = Checkpoints.save

    def slow(self: Checkpoints, snapshot: Any) -> None:
        nonlocal now
        now += 1000
        save(self, snapshot)

    monkeypatch.setattr("suite.worker.clock.time.perf_counter", lambda: now)
    monkeypatch.setattr(Checkpoints, "save", slow)
    run = Run(*mlp(), checkpoints(tmp_path)).to_the_end()
    assert now > 0
    assert all(e["seconds"] == 0 for e in run.events if e["event"] == "chunk")
    assert all(e["train_seconds"] == 0 for e in run.events if e["event"] == "epoch")


def test_the_folder_goes_with_the_last(tmp_path: Path) -> None:
    paths = [path_of(tmp_path, "s1", name) for name in "ab"]
    paths[0].parent.mkdir(parents=True)
    for path in paths:
        path.touch()
    discard(paths[0])
    assert list(paths[0].parent.iterdir()) == [paths[1]]
    discard(paths[1])
    assert not paths[0].parent.exists()
    discard(paths[1])
