"""Frozen leaves: no engine moves them, gives their gradients, or keeps slots for them."""

from __future__ import annotations

import numpy as np
import pytest

import backends
from tasks.task import State
from tests.backends.conftest import Call
from tests.backends.tiny_tasks import SEED, initial, program_of, train, training_chunks
from tests.tasks.tiny import tiny

CHOICE = ("fashion_mlp", "transfer")
TRAINED = {"output.kernel", "output.bias"}


def leaves_with_gradients(backend: str, state: State) -> set[str]:
    program = program_of(backend, CHOICE, state, SEED)
    return set(program.gradients(program.place(training_chunks(tiny(CHOICE))[0]))[1])


@pytest.mark.parametrize("backend", backends.NAMES)
def test_training_moves_what_is_not_frozen_and_nothing_else(call: Call, backend: str) -> None:
    state, task = initial(CHOICE, "float64"), tiny(CHOICE)
    _, after = call(backend, "float64", train, CHOICE, state, training_chunks(task), SEED)
    moved = {n for n, leaf in state.params.items() if (leaf != after.params[n]).any()}
    assert moved == TRAINED
    assert after.params.keys() == {*TRAINED, *task.frozen}
    assert after.slots.keys() == {"v"}
    assert after.slots["v"].keys() == TRAINED
    assert all(slot.any() for slot in after.slots["v"].values())
    assert call(backend, "float64", leaves_with_gradients, state) == TRAINED


def test_the_frozen_layer_is_in_what_is_learned(call: Call) -> None:
    """Or it could be any."""
    state = initial(CHOICE, "float64")
    other = dict(state.params) | {"hidden.kernel": np.zeros_like(state.params["hidden.kernel"])}
    given = training_chunks(tiny(CHOICE)), SEED
    losses, _ = call("numpy", "float64", train, CHOICE, state, *given)
    others, _ = call("numpy", "float64", train, CHOICE, State(other, state.slots), *given)
    assert not np.isclose(losses, others).any()
