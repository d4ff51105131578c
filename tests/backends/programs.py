"""Work of the engines' tests inside a backend's process."""

from __future__ import annotations

import importlib
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np

import backends
from backends.program import Program
from tasks.optimizers import SGD, Optimizer
from tasks.task import Array, State, Task, Tree
from tests.tiny import tiny_task

SEED = 3
CHUNK = 117
"""Steps of a chunk of the whole perceptron that take tenths of a second."""
_kept: dict[Hashable, Program] = {}


def built(backend: str, task: Task, state: State, seed: int | None) -> Program:
    """A new program of a task."""
    module = importlib.import_module(f"backends.{backend}.{task.name}")
    program: Program = module.build(task, state, seed)
    return program


def kept(backend: str, key: Hashable, task: Task, state: State, seed: int | None) -> Program:
    """The process's program of ``key``, built once, in that state: what it compiled it keeps.

    ``key`` says which task; the mode, the precision and the seed are told apart here.
    """
    mode = getattr(backends.load(backend), "mode", None)
    whole = (key, mode, state.dtype.name, seed)
    if whole not in _kept:
        _kept[whole] = built(backend, task, state, seed)
    _kept[whole].restore(state)
    return _kept[whole]


def build(backend: str, state: State, optimizer: Optimizer) -> Program:
    return built(backend, tiny_task(optimizer), state, SEED)


def perceptron(backend: str, state: State, optimizer: Optimizer) -> Program:
    """The one that is kept."""
    return kept(backend, optimizer, tiny_task(optimizer), state, SEED)


def initial(optimizer: Optimizer, dtype: str) -> State:
    return tiny_task(optimizer).initial(SEED).astype(dtype)


def train(
    backend: str, state: State, optimizer: Optimizer, chunk_steps: int, first: int, last: int
) -> tuple[Array, State]:
    """The losses of steps ``first`` to ``last`` of the epoch, from ``state``, and what follows."""
    program = perceptron(backend, state, optimizer)
    chunks = list(tiny_task(optimizer, chunk_steps).chunks("train", SEED))
    wanted = chunks[first // chunk_steps : last // chunk_steps]
    losses = [program.train(program.place(chunk)) for chunk in wanted]
    return np.concatenate(losses), program.state()


def state_of_a_new_program(backend: str, state: State, optimizer: Optimizer) -> State:
    """The state of a program that was built from a state."""
    return build(backend, state, optimizer).state()


def gradients_and_outputs(backend: str, state: State, optimizer: Optimizer) -> dict[str, Any]:
    """Gradients, outputs on the test chunk, and the state before and after asking for them."""
    program = perceptron(backend, state, optimizer)
    task = tiny_task(optimizer)
    before = program.state()
    loss, gradients = program.gradients(program.place(next(task.chunks("train", SEED))))
    outputs = program.predict(program.place(next(task.chunks("test"))))
    return {
        "loss": loss,
        "gradients": dict(gradients),
        "outputs": dict(outputs),
        "before": before,
        "after": program.state(),
    }


def state_is_a_copy(backend: str, state: State, optimizer: Optimizer) -> list[str]:
    """Arrays that training changed though they were handed in or out: there should be none."""
    given = state.astype(state.dtype)
    program = build(backend, given, optimizer)
    program.restore(given)
    taken = program.state()
    kept = taken.astype(taken.dtype)
    for chunk in tiny_task(optimizer).chunks("train", SEED):
        program.train(program.place(chunk))
    pairs = {"handed in": (given, state), "handed out": (taken, kept)}
    return [
        f"{way}: {name}"
        for way, (now, then) in pairs.items()
        for name, leaf in leaves(now).items()
        if not np.array_equal(leaf, leaves(then)[name])
    ]


def leaves(state: State) -> Tree:
    """Every array of a state, by ``params/<leaf>``, ``buffers/<leaf>`` and ``<slot>/<leaf>``."""
    trees = {"params": state.params, "buffers": state.buffers, **state.slots}
    return {f"{k}/{name}": leaf for k, tree in trees.items() for name, leaf in tree.items()}


def assert_same(found: State, expected: State, tolerance: float) -> None:
    """The same step count and leaves, each within ``tolerance``, relative and absolute."""
    assert found.step == expected.step
    assert leaves(found).keys() == leaves(expected).keys()
    for name, leaf in leaves(expected).items():
        np.testing.assert_allclose(
            leaves(found)[name], leaf, rtol=tolerance, atol=tolerance, err_msg=name
        )


def busy_after_train(backend: str, forgetful: bool) -> float:
    """Processor seconds spent after train returned, as a fraction of those that train takes.

    Processor seconds, of all threads, do not depend on how busy the machine is; asking for the
    state waits until all work is done. ``forgetful`` plants the error, in JAX: a program that
    returns while its work goes on.
    """
    from tasks import fashion_mlp
    from tasks.datasets import fashion_mnist

    task = fashion_mlp.FashionMLP(
        fashion_mlp.FashionMLPConfig(chunk_steps=CHUNK), "full", fashion_mnist.generated()
    )
    module = importlib.import_module(f"backends.{backend}.fashion_mlp")
    program = module.build(task, task.initial(SEED), SEED)
    placed = program.place(next(task.chunks("train", SEED)))
    program.train(placed)  # compiles
    begin = time.process_time()
    program.train(placed)
    seconds = time.process_time() - begin
    if forgetful:
        carry = (program._params, program._slots, program._buffers)
        numbers = np.arange(CHUNK, dtype=np.uint32)
        (program._params, program._slots, _), _ = program._train(carry, placed, numbers, {})
    else:
        program.train(placed)
    returned = time.process_time()
    program.state()
    return (time.process_time() - returned) / seconds


def shapes_of_many_layers(backend: str) -> dict[str, tuple[int, ...]]:
    """The canonical names and shapes of PyTorch's layers of many kinds, two of which share."""
    from torch import nn

    from backends.torch import layers

    model = nn.ModuleDict(
        {
            "plain": nn.Linear(3, 2, bias=False),
            "tokens": nn.Embedding(5, 3),
            "shared": nn.Linear(3, 5, bias=False),
            "conv": nn.Conv1d(3, 4, 2),
            "norm": nn.BatchNorm2d(4),
            "fixed": nn.LayerNorm(4, elementwise_affine=False),
            "gru": nn.GRU(3, 2, bias=False),
        }
    )
    model["shared"].weight = model["tokens"].weight
    return {name: layers.shape_of(name, p) for name, p in layers.parameters(model)}


def name_of_another_layout(backend: str) -> None:
    """Asks for the names of a parameter that would be turned as those of nn.Linear are."""
    import torch
    from torch import nn

    from backends.torch import layers

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.zeros(2, 3))

    list(layers.parameters(nn.ModuleDict({"own": Own()})))


def build_with_an_unknown_layer(backend: str) -> None:
    """Builds a model with a layer that neither the backend nor its task knows."""
    engine = importlib.import_module(f"backends.{backend}.engine")
    model: Any
    if backend == "torch":
        from torch import nn

        model = nn.Sequential(OrderedDict(hidden=nn.Linear(3, 2), steep=nn.PReLU()))
    else:
        import keras

        layers = [keras.layers.Dense(2, name="hidden"), keras.layers.PReLU(name="steep")]
        model = keras.Sequential([keras.Input((3,)), *layers])
    state = State({"hidden.kernel": np.zeros((3, 2)), "hidden.bias": np.zeros(2)}, {})
    engine.Program(tiny_task(SGD(0.1)), state, None, model, None, None)


def trained_twice(
    backend: str, state: State, optimizer: Optimizer
) -> tuple[Array, State, list[int]]:
    """Losses and state after an epoch, and what had been compiled after one chunk and at the end.

    The program stands at the end where it began: it goes on from a state that it is given.
    """
    program = build(backend, state, optimizer)
    before = program.compilations()
    placed = [program.place(chunk) for chunk in tiny_task(optimizer).chunks("train", SEED)]
    program.train(placed[0])
    counts = [program.compilations() - before]
    program.restore(state)
    losses = np.concatenate([program.train(chunk) for chunk in placed])
    counts.append(program.compilations() - before)
    return losses, program.state(), counts
