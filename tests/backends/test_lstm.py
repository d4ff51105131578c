"""The character model in every backend: equal steps, a carried state that is reset, equal texts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

import backends
from backends.program import Program
from suite.session.equivalence import compare
from suite.worker.trace import trace
from tasks.lstm import LSTM
from tasks.task import Array, Chunk, Envelope, State, Tree
from tests.backends.conftest import Call
from tests.backends.programs import leaves
from tests.backends.tiny_tasks import program_of
from tests.tasks.tiny_lstm import STEPS, tiny_task

SEED = 3
OTHERS = [backend for backend in backends.NAMES if backend != "numpy"]
every_backend = pytest.mark.parametrize("backend", backends.NAMES)


def build(backend: str, state: State) -> Program:
    return program_of(backend, ("lstm", None), state, SEED)


def initial(task: LSTM) -> State:
    return task.initial(SEED).astype("float64")


def traced(backend: str) -> Tree:
    task = tiny_task()
    return trace(task, build(backend, initial(task)), SEED, (STEPS,))


def trained(backend: str, state: State, chunks: list[Chunk]) -> tuple[Array, State]:
    program = build(backend, state)
    losses = [program.train(program.place(chunk)) for chunk in chunks]
    return np.concatenate(losses), program.state()


def outputs_and_texts(backend: str, state: State) -> tuple[Tree, Mapping[str, str]]:
    task = tiny_task()
    program = build(backend, state)
    (test,) = task.chunks("test")
    texts = task.texts(lambda chunk: program.predict(program.place(chunk)))
    return dict(program.predict(program.place(test))), texts


@pytest.mark.parametrize("backend", OTHERS)
def test_it_trains_as_numpy_does(call: Call, backend: str) -> None:
    oracle = call("numpy", "float64", traced)
    envelope = Envelope(steps=STEPS, loss=1e-13, gradient=1e-13, state=1e-11)
    findings = compare(call(backend, "float64", traced), oracle, envelope)
    assert all(f.passed for f in findings), findings


@every_backend
def test_the_state_is_carried_from_step_to_step_and_reset_by_the_data(
    call: Call, backend: str
) -> None:
    task = tiny_task()
    start, chunks = initial(task), list(task.chunks("train"))
    whole, end = call(backend, "float64", trained, start, chunks)
    assert all(b.any() for b in end.buffers.values())
    one, middle = call(backend, "float64", trained, start, chunks[:1])
    two, same_end = call(backend, "float64", trained, middle, chunks[1:])
    np.testing.assert_allclose(np.concatenate([one, two]), whole, rtol=1e-12)
    assert_close(leaves(same_end), leaves(end))
    # with another state before it, a chunk that resets gives the same, one that goes on does not
    ones = {name: np.ones_like(b) for name, b in start.buffers.items()}
    other, _ = call(backend, "float64", trained, with_buffers(start, ones), chunks)
    np.testing.assert_allclose(other, whole, rtol=1e-12)
    other, _ = call(backend, "float64", trained, with_buffers(middle, ones), chunks[1:])
    assert abs(other[0] - two[0]) > 1e-4


def with_buffers(state: State, buffers: Tree) -> State:
    return State(state.params, state.slots, buffers, state.step)


def assert_close(found: Tree, expected: Tree) -> None:
    assert found.keys() == expected.keys()
    for name, leaf in expected.items():
        np.testing.assert_allclose(found[name], leaf, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("backend", OTHERS)
def test_outputs_and_texts_are_numpys(call: Call, backend: str) -> None:
    task = tiny_task()
    _, state = call("numpy", "float64", trained, initial(task), list(task.chunks("train")) * 5)
    expected, expected_texts = call("numpy", "float64", outputs_and_texts, state)
    outputs, texts = call(backend, "float64", outputs_and_texts, state)
    assert_close(outputs, expected)
    assert texts == expected_texts
    assert all(len(text) == 12 for text in texts.values())


@every_backend
def test_nats_are_what_the_loss_is_the_mean_of(call: Call, backend: str) -> None:
    task = tiny_task()
    found: Mapping[str, Array] = call(backend, "float64", first_batch_twice, initial(task))
    assert found["nats"].mean() == pytest.approx(float(found["loss"]), rel=1e-12)


def first_batch_twice(backend: str, state: State) -> dict[str, Array]:
    task = tiny_task()
    program = build(backend, state)
    chunk = {name: a[:1] for name, a in next(task.chunks("train")).items()}
    loss, _ = program.gradients(program.place(chunk))
    zero = {name: state.buffers[f"carry.{name}"][None] for name in ("hidden", "cell")}
    nats = program.predict(program.place({**chunk, **zero}))["nats"]
    return {"loss": np.asarray(loss), "nats": nats}
