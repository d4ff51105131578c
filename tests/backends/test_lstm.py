"""The character models in every backend: equal steps, a state that is carried, equal texts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

import backends
import tasks
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
every_variant = pytest.mark.parametrize("variant", tasks.VARIANTS["lstm"])
Variant = str | None


def build(backend: str, variant: Variant, state: State) -> Program:
    return program_of(backend, ("lstm", variant), state, SEED)


def initial(task: LSTM) -> State:
    return task.initial(SEED).astype("float64")


def traced(backend: str, variant: Variant) -> Tree:
    task = tiny_task(variant)
    return trace(task, build(backend, variant, initial(task)), SEED, (STEPS,))


def trained(
    backend: str, variant: Variant, state: State, chunks: list[Chunk]
) -> tuple[Array, State]:
    program = build(backend, variant, state)
    losses = [program.train(program.place(chunk)) for chunk in chunks]
    return np.concatenate(losses), program.state()


def outputs_and_texts(
    backend: str, variant: Variant, state: State
) -> tuple[Tree, Mapping[str, str]]:
    task = tiny_task(variant)
    program = build(backend, variant, state)
    (test,) = task.chunks("test")
    texts = task.texts(lambda chunk: program.predict(program.place(chunk)))
    return dict(program.predict(program.place(test))), texts


@every_variant
@pytest.mark.parametrize("backend", OTHERS)
def test_it_trains_as_numpy_does(call: Call, backend: str, variant: Variant) -> None:
    oracle = call("numpy", "float64", traced, variant)
    envelope = Envelope(steps=STEPS, loss=1e-13, gradient=1e-13, state=1e-11)
    findings = compare(call(backend, "float64", traced, variant), oracle, envelope)
    assert all(f.passed for f in findings), findings


@every_variant
@every_backend
def test_the_state_is_carried_from_step_to_step_and_reset_by_the_data(
    call: Call, backend: str, variant: Variant
) -> None:
    task = tiny_task(variant)
    start, chunks = initial(task), list(task.chunks("train"))
    whole, end = call(backend, "float64", trained, variant, start, chunks)
    assert all(b.any() for b in end.buffers.values())
    one, middle = call(backend, "float64", trained, variant, start, chunks[:1])
    two, same_end = call(backend, "float64", trained, variant, middle, chunks[1:])
    np.testing.assert_allclose(np.concatenate([one, two]), whole, rtol=1e-12)
    assert_close(leaves(same_end), leaves(end))
    # with another state before it, a chunk that resets gives the same, one that goes on does not
    ones = {name: np.ones_like(b) for name, b in start.buffers.items()}
    other, _ = call(backend, "float64", trained, variant, with_buffers(start, ones), chunks)
    np.testing.assert_allclose(other, whole, rtol=1e-12)
    other, _ = call(backend, "float64", trained, variant, with_buffers(middle, ones), chunks[1:])
    assert abs(other[0] - two[0]) > 1e-4


def with_buffers(state: State, buffers: Tree) -> State:
    return State(state.params, state.slots, buffers, state.step)


def assert_close(found: Tree, expected: Tree) -> None:
    assert found.keys() == expected.keys()
    for name, leaf in expected.items():
        np.testing.assert_allclose(found[name], leaf, rtol=1e-9, atol=1e-12, err_msg=name)


@every_variant
@pytest.mark.parametrize("backend", OTHERS)
def test_outputs_and_texts_are_numpys(call: Call, backend: str, variant: Variant) -> None:
    task = tiny_task(variant)
    chunks = list(task.chunks("train")) * 5
    _, state = call("numpy", "float64", trained, variant, initial(task), chunks)
    expected, expected_texts = call("numpy", "float64", outputs_and_texts, variant, state)
    outputs, texts = call(backend, "float64", outputs_and_texts, variant, state)
    assert_close(outputs, expected)
    assert texts == expected_texts
    assert all(len(text) == 12 for text in texts.values())


@every_variant
@every_backend
def test_nats_are_what_the_loss_is_the_mean_of(call: Call, backend: str, variant: Variant) -> None:
    start = initial(tiny_task(variant))
    found: Mapping[str, Array] = call(backend, "float64", first_batch_twice, variant, start)
    assert found["nats"].mean() == pytest.approx(float(found["loss"]), rel=1e-12)


def first_batch_twice(backend: str, variant: Variant, state: State) -> dict[str, Array]:
    task = tiny_task(variant)
    program = build(backend, variant, state)
    chunk = {name: a[:1] for name, a in next(task.chunks("train")).items()}
    loss, _ = program.gradients(program.place(chunk))
    zero = {name: state.buffers[f"carry.{name}"][None] for name in task.carried}
    nats = program.predict(program.place({**chunk, **zero}))["nats"]
    return {"loss": np.asarray(loss), "nats": nats}


def gradients_of(backend: str, variant: Variant, state: State, chunk: Chunk) -> Tree:
    """Gradients of one step, by canonical name, and the loss."""
    program = build(backend, variant, state)
    loss, gradients = program.gradients(program.place(chunk))
    return {**gradients, "loss": np.asarray(loss)}


def of_nn_rnn(backend: str, state: State, chunk: Chunk) -> Tree:
    """The same by ``nn.RNN`` as it comes, both of its biases trained, and automatic gradients."""
    import torch
    from torch import nn

    leaf = {name: torch.tensor(a, requires_grad=True) for name, a in state.params.items()}
    layer = nn.RNN(*state.params["rnn.kernel"].shape, batch_first=True, dtype=torch.float64)
    own = {
        "weight_ih_l0": leaf["rnn.kernel"].T,
        "weight_hh_l0": leaf["rnn.recurrent"].T,
        "bias_ih_l0": leaf["rnn.bias"] / 2,
        "bias_hh_l0": leaf["rnn.bias"] / 2,
    }
    x = leaf["embedding.kernel"][torch.from_numpy(chunk["inputs"][0]).long()]
    h = torch.tensor(state.buffers["carry.hidden"])[None] * (1 - float(chunk["reset"][0]))
    states, _ = torch.func.functional_call(layer, own, (x, h))
    logits = states @ leaf["output.kernel"] + leaf["output.bias"]
    targets = torch.from_numpy(chunk["targets"][0]).long()
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    found = {name: value.grad.numpy() for name, value in leaf.items() if value.grad is not None}
    return {**found, "loss": loss.detach().numpy()}


def test_the_plain_network_is_nn_rnn(call: Call) -> None:
    """From a state that was carried and biases that are not 0."""
    task, rng = tiny_task("rnn"), np.random.default_rng(5)
    start = initial(task)
    bias = np.asarray(rng.standard_normal(start.params["rnn.bias"].shape))
    params = {**start.params, "rnn.bias": bias}
    buffers = {name: np.tanh(rng.standard_normal(b.shape)) for name, b in start.buffers.items()}
    state = State(params, start.slots, buffers)
    chunk = {name: a[1:2] for name, a in next(task.chunks("train")).items()}
    expected = call("torch", "float64", of_nn_rnn, state, chunk)
    for backend in backends.NAMES:
        found = call(backend, "float64", gradients_of, "rnn", state, chunk)
        assert_close(found, expected)
