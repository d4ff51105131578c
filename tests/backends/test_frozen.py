"""Frozen leaves: no engine moves them, gives their gradients, or keeps slots for them."""

from __future__ import annotations

import numpy as np
import pytest

import backends
import tasks
from tasks.task import State
from tests.backends.conftest import Call
from tests.backends.tiny_tasks import SEED, initial, program_of, train, training_chunks
from tests.tasks.tiny import tiny

CHOICE = ("fashion_mlp", "transfer")
TRAINED: dict[tasks.Choice, set[str]] = {
    CHOICE: {"output.kernel", "output.bias"},
    ("fewshot", "finetune"): {"head.kernels", "head.biases"},
}


def leaves_with_gradients(backend: str, choice: tasks.Choice, state: State) -> set[str]:
    program = program_of(backend, choice, state, SEED)
    return set(program.gradients(program.place(training_chunks(tiny(choice))[0]))[1])


@pytest.mark.parametrize("choice", TRAINED, ids=lambda choice: f"{choice[0]}:{choice[1]}")
@pytest.mark.parametrize("backend", backends.NAMES)
def test_training_moves_what_is_not_frozen_and_nothing_else(
    call: Call, backend: str, choice: tasks.Choice
) -> None:
    state, task, trained = initial(choice, "float64"), tiny(choice), TRAINED[choice]
    _, after = call(backend, "float64", train, choice, state, training_chunks(task), SEED)
    moved = {n for n, leaf in state.params.items() if (leaf != after.params[n]).any()}
    assert moved == trained
    assert after.params.keys() == {*trained, *task.frozen}
    assert after.slots.keys() == {*task.optimizer.slots}
    for slot in after.slots.values():
        assert slot.keys() == trained
        assert all(leaf.any() for leaf in slot.values())
    assert call(backend, "float64", leaves_with_gradients, choice, state) == trained


def test_the_frozen_layer_is_in_what_is_learned(call: Call) -> None:
    """Or it could be any."""
    state = initial(CHOICE, "float64")
    other = dict(state.params) | {"hidden.kernel": np.zeros_like(state.params["hidden.kernel"])}
    given = training_chunks(tiny(CHOICE)), SEED
    losses, _ = call("numpy", "float64", train, CHOICE, state, *given)
    others, _ = call("numpy", "float64", train, CHOICE, State(other, state.slots), *given)
    assert not np.isclose(losses, others).any()
