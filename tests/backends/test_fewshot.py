"""The four implementations of few-shot recognition are one model, on tiny pictures."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import numpy as np
import pytest

import backends
from suite.session.equivalence import compare
from suite.worker.trace import trace
from tasks.optimizers import Adam
from tasks.task import Envelope
from tests.backends import tiny_tasks
from tests.backends.conftest import Call
from tests.tasks.tiny_fewshot import tiny_task

# of so few pictures, some gradients nearly cancel
ENVELOPE = Envelope(steps=4, loss=1e-11, gradient=1e-11, state=1e-9)
SEED = 3  # seed 2 draws a triplet network of dead units


def results(backend: str, variant: str) -> dict[str, Any]:
    """A trace of the task, and the outputs for its test chunk."""
    task = tiny_task(variant)
    state = task.initial(SEED).astype("float64")
    program = tiny_tasks.program_of(backend, ("fewshot", variant), state, tiny_tasks.SEED)
    outputs = program.predict(program.place(next(task.chunks("test"))))
    return {"trace": trace(task, program, SEED, (ENVELOPE.steps,)), "outputs": dict(outputs)}


@cache
def oracle(variant: str) -> dict[str, Any]:
    return results("numpy", variant)


@pytest.mark.parametrize("variant", ["siamese", "triplet", "finetune"])
@pytest.mark.parametrize("backend", [name for name in backends.NAMES if name != "numpy"])
def test_it_agrees_with_numpy(call: Call, backend: str, variant: str) -> None:
    found = call(backend, "float64", results, variant)
    for finding in compare(found["trace"], oracle(variant)["trace"], ENVELOPE):
        assert finding.passed, finding
    assert found["outputs"].keys() == oracle(variant)["outputs"].keys()
    for name, array in oracle(variant)["outputs"].items():
        np.testing.assert_allclose(found["outputs"][name], array, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("variant", ["siamese", "triplet"])
def test_a_chunk_is_learned_by_heart(variant: str) -> None:
    task = tiny_task(variant, 0.0)
    task.optimizer = Adam(1e-2, 0.9, 0.999, 1e-8)
    program = importlib.import_module("backends.numpy.fewshot").build(task, task.initial(0), 0)
    placed = program.place(next(task.chunks("train", 0)))
    losses = np.concatenate([program.train(placed) for _ in range(150)])
    assert losses[-2:].max() < losses[:2].min() / 5
