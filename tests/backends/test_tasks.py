"""Duties of every task in every backend by the contract, shown on tiny variants.

All in one precision, so that a backend's process compiles each program once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import backends
import tasks
from tests.backends import edges
from tests.backends.conftest import Call
from tests.backends.programs import assert_same
from tests.backends.tiny_tasks import (
    CHOICES,
    MODELS,
    PROGRAMS,
    SEED,
    initial,
    program_of,
    restored,
    seed_without_dropout,
    train,
    training_chunks,
    what_looking_changes,
)
from tests.tasks.tiny import tiny

in_every_backend = pytest.mark.parametrize("backend", backends.NAMES)


def each(choices: Sequence[tasks.Choice]) -> pytest.MarkDecorator:
    ids = [":".join(filter(None, choice)) for choice in choices]
    return pytest.mark.parametrize("choice", choices, ids=ids)


@each(PROGRAMS)
@in_every_backend
def test_state_round_trips_bit_for_bit(call: Call, backend: str, choice: tasks.Choice) -> None:
    state = initial(choice, "float64")
    chunks = training_chunks(tiny(choice))
    _, trained = call(backend, "float64", train, choice, state, chunks[:1], SEED)
    back = call(backend, "float64", restored, choice, trained)
    assert_same(back, trained, 0)
    assert set(trained.buffers) == set(tiny(choice).buffers)
    for name, buffer in trained.buffers.items():
        assert not np.array_equal(buffer, state.buffers[name]), f"{name} was not trained"


@each(PROGRAMS)
@in_every_backend
def test_gradients_and_predict_change_nothing(
    call: Call, backend: str, choice: tasks.Choice
) -> None:
    state = initial(choice, "float64")
    before, after, same = call(backend, "float64", what_looking_changes, choice, state)
    assert_same(before, state, 0)
    assert_same(after, before, 0)
    assert same


def score(backend: str, choice: tasks.Choice) -> set[str]:
    """The names of a task's metrics."""
    task = tiny(choice)
    program = program_of(backend, choice, task.initial(SEED), SEED)
    chunks = list(task.chunks("test"))
    return set(task.score([(c, program.predict(program.place(c))) for c in chunks]))


@each(CHOICES)
def test_a_task_measures_what_its_curve_and_its_targets_are_judged_by(
    call: Call, choice: tasks.Choice
) -> None:
    task, metrics = tiny(choice), {"train_loss", *call("numpy", "float64", score, choice)}
    assert task.validation in metrics - {"train_loss"}
    assert {target.metric for target in task.targets} <= metrics
    assert task.margin > 0


@each(PROGRAMS)
@in_every_backend
def test_a_chunk_equals_its_steps_one_by_one(
    call: Call, backend: str, choice: tasks.Choice
) -> None:
    state, chunks = initial(choice, "float64"), training_chunks(tiny(choice))
    whole, end = call(backend, "float64", train, choice, state, chunks, SEED)
    single = [
        {name: a[step : step + 1] for name, a in chunk.items()}
        for chunk in chunks
        for step in range(len(next(iter(chunk.values()))))
    ]
    steps, end_of_steps = call(backend, "float64", train, choice, state, single, SEED)
    np.testing.assert_allclose(steps, whole, rtol=1e-11)
    assert_same(end_of_steps, end, 1e-9)


@each(MODELS)
def test_training_handed_from_backend_to_backend_goes_on_identically(
    call: Call, choice: tasks.Choice
) -> None:
    state, chunks = initial(choice, "float64"), training_chunks(tiny(choice))
    available = [b for b in backends.NAMES if backends.load(b).available() is None]
    seed = seed_without_dropout(choice)
    unbroken, end = call("numpy", "float64", train, choice, state, chunks * 4, seed)
    losses = []
    for number, chunk in enumerate(chunks * 4):
        backend = available[number % len(available)]
        found, state = call(backend, "float64", train, choice, state, [chunk], seed)
        losses.append(found)
    np.testing.assert_allclose(np.concatenate(losses), unbroken, rtol=1e-10)
    assert_same(state, end, 1e-8)


@each(MODELS)
@pytest.mark.parametrize("backend", [name for name in backends.NAMES if name != "numpy"])
def test_rare_values_are_computed_as_numpy_does(
    call: Call, backend: str, choice: tasks.Choice
) -> None:
    """Those that the proof does not come to: see ``tests.backends.edges``."""
    seed = seed_without_dropout(choice)
    for edge in edges.of_task(choice):
        state, chunk = edges.EDGES[edge](choice)
        expected, end = call("numpy", "float64", train, choice, state, [chunk], seed)
        losses, found = call(backend, "float64", train, choice, state, [chunk], seed)
        assert np.isfinite(expected).all(), edge
        np.testing.assert_allclose(losses, expected, rtol=1e-9, atol=1e-12, err_msg=edge)
        assert_same(found, end, 1e-8)
