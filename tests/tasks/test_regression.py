"""Regression on points of a formula, and its stop condition."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

import tasks
from backends.numpy.regression import build
from suite.records.events import Event
from suite.worker.clock import Clock
from suite.worker.training import Training
from tasks.regression import PROFILES, Regression


@pytest.fixture(scope="module")
def full() -> Regression:
    task = tasks.load("regression", "full", "real")
    assert isinstance(task, Regression)
    return task


def test_it_has_the_parameters_of_the_specification(full: Regression) -> None:
    state = full.initial(0)
    shapes = {name: leaf.shape for name, leaf in state.params.items() if leaf.ndim > 1}
    assert list(shapes.values()) == [(2, 20), (20, 10), (10, 1)]
    assert sum(leaf.size for leaf in state.params.values()) == 60 + 210 + 11


def test_the_values_are_those_of_the_formula_and_noise_of_a_quarter(full: Regression) -> None:
    (chunk,) = full.chunks("test")
    x0, x1 = chunk["inputs"][0].astype(np.float64).T
    noise = chunk["values"][0] - (2 * x0**3 + x1**2 / 2)
    assert len(noise) == 1_100
    assert chunk["validation"].sum() == 100
    assert np.mean(noise**2) == pytest.approx(0.25, rel=0.1)
    assert np.std(x0) == pytest.approx(1, rel=0.1)
    assert abs(np.corrcoef(noise, x0)[0, 1]) < 0.1


def test_an_epoch_has_three_batches_of_the_hundred_points(full: Regression) -> None:
    (chunk,) = full.chunks("train", 1, 2)
    assert chunk["inputs"].shape == (3, 32, 2)
    assert len(np.unique(chunk["inputs"].reshape(-1, 2), axis=0)) == 96
    (other,) = full.chunks("train", 1, 3)
    assert not np.array_equal(chunk["values"], other["values"])
    proof = list(full.verification_chunks(1))
    assert sum(len(c["values"]) for c in proof) >= full.envelopes["float64"].steps
    np.testing.assert_array_equal(proof[2]["values"], chunk["values"])


def test_score_tells_validation_from_test(full: Regression) -> None:
    (chunk,) = full.chunks("test")
    off = np.where(chunk["validation"] > 0, 2.0, -3.0)
    found = full.score([(chunk, {"values": chunk["values"] + off})])
    assert found == pytest.approx({"val_loss": 4, "test_loss": 9}, rel=1e-5)


def test_it_stops_when_the_lowest_validation_loss_is_old_and_keeps_its_weights(
    full: Regression,
) -> None:
    initial = full.initial(0)
    events: list[Event] = []
    program = build(full, initial, 0)
    Training(full, program, 0, Clock(), events.append, lambda: True).run(initial)
    sent = [asdict(event) | {"event": event.event} for event in events]
    losses = [e["metrics"]["val_loss"] for e in sent if e["event"] == "epoch"]
    (stopped,) = (e["stopped"] for e in sent if e["event"] == "stopped")
    assert stopped["epoch"] == len(losses) < full.config.epochs
    assert stopped["best"] == int(np.argmin(losses)) + 1 == len(losses) - full.config.patience
    (chunk,) = full.chunks("test")
    found: Any = full.score([(chunk, program.predict(program.place(chunk)))])
    assert found["val_loss"] == min(losses) < losses[-1]


@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks(profile: str) -> None:
    config = PROFILES[profile]
    assert config.train_samples // config.batch % config.chunk_steps == 0


def test_a_picture_shows_the_function(full: Regression) -> None:
    program = build(full, full.initial(0), 0)
    (drawn,) = full.heatmaps(lambda chunk: program.predict(program.place(chunk))).values()
    assert drawn.values.shape == (len(drawn.rows), len(drawn.columns))
    chunk = {"inputs": np.array([[[-2, 2]]], np.float32)}
    corner = program.predict(program.place(chunk))["values"].item()
    assert drawn.values[0, 0] == pytest.approx(corner)
