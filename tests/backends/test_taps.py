"""Taps: the same names, values and cotangents in the four backends, and nothing where not asked."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import backends
import tasks
from backends.program import Tap, Tapping
from suite.worker.trace import steps_between
from tasks.task import State
from tests.backends.conftest import Call
from tests.backends.programs import assert_same, kept
from tests.tasks.tiny import tiny

SEED = 3
CHOICES: list[tasks.Choice] = [
    ("fashion_mlp", None),
    ("imdb_text", "bow_batchnorm"),
    ("imdb_text", "embedding"),
    ("imdb_text", "skipgram"),
    ("autoencoder", "joint"),
    ("lstm", None),
    ("lstm", "rnn"),
    ("transformer", "dropout"),
    ("fewshot", "siamese"),
    ("perceptron", "mlp"),
]
COMPILED_IN_JAX = ("fashion_mlp", "lstm")
"""Tasks whose values in JAX are compared; of the others its names and shapes, which costs less."""


def taps(backend: str, choice: tasks.Choice) -> tuple[Mapping[str, Tap], State, State]:
    """The taps of the first step of the proof, and the state before and after."""
    task = tiny(choice)
    program = kept(backend, choice, task, task.initial(SEED).astype("float64"), None)
    placed = program.place(next(steps_between(task, SEED, 0, 1)))
    before = program.state()
    assert isinstance(program, Tapping)
    if backend == "jax" and choice[0] not in COMPILED_IN_JAX:
        return shapes_alone(program, placed), before, program.state()
    return program.taps(placed), before, program.state()


def shapes_alone(program: Any, placed: Any) -> Mapping[str, Tap]:
    """JAX's taps with zeros for values and no cotangents: what its first trace finds."""
    from backends.jax import taps

    batch = {name: a[0] for name, a in placed.items()}
    view = program._canonical and functools.partial(program._canonical, batch)
    found = taps.shapes_of(
        lambda: program._loss(program._params, program._buffers, batch, None)[0], view
    )
    return {name: (np.zeros(s.shape, s.dtype), None) for name, s in found.items()}


@functools.cache
def reference(choice: tasks.Choice) -> Mapping[str, Tap]:
    """NumPy's, whose names the others have."""
    backends.load("numpy").configure("cpu", 1, "float64")
    return taps("numpy", choice)[0]


def relative(own: Any, other: Any) -> float:
    return float(np.abs(own - other).max() / (np.abs(other).max() or 1))


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: f"{choice[0]}:{choice[1]}")
@pytest.mark.parametrize("backend", [name for name in backends.NAMES if name != "numpy"])
def test_every_backend_names_the_same_operations(
    call: Call, backend: str, choice: tasks.Choice
) -> None:
    found, before, after = call(backend, "float64", taps, choice)
    assert_same(after, before, 0)
    expected = reference(choice)
    shared = {name: tap for name, tap in found.items() if name in expected}
    # modules and layers have names of their own besides
    assert (found if backend == "jax" else shared).keys() == expected.keys()
    assert {n: v.shape for n, (v, _) in shared.items()} == {
        n: v.shape for n, (v, _) in expected.items()
    }
    if backend == "jax" and choice[0] not in COMPILED_IN_JAX:
        return
    for name, (value, cotangent) in expected.items():
        assert relative(shared[name][0], value) < 1e-12, name
        if cotangent is not None:
            assert relative(shared[name][1], cotangent) < 1e-12, name


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: f"{choice[0]}:{choice[1]}")
def test_every_cotangent_of_numpy_is_there_and_the_loss_comes_last(choice: tasks.Choice) -> None:
    expected = reference(choice)
    assert [*expected][-1] == "loss"
    without = {name for name, (_, cotangent) in expected.items() if cotangent is None}
    # nothing flows back into what was before the first step: truncated back-propagation
    carried = {
        ("lstm", None): {"carry.hidden", "carry.cell", "lstm_cell"},
        ("lstm", "rnn"): {"carry.hidden"},
    }
    assert without == carried.get(choice, set())


def jaxpr_with_and_without(backend: str) -> tuple[str, str]:
    """The trace of a loss as it stands, and of one without taps."""
    import jax

    from backends.jax import fashion_mlp, hidden

    task = tiny(("fashion_mlp", None))
    state = task.initial(SEED)
    batch = {name: a[0] for name, a in next(task.chunks("train", SEED)).items()}

    def traced() -> str:
        loss = functools.partial(fashion_mlp.loss, task.config)
        return str(jax.make_jaxpr(loss)(state.params, {}, batch, None))

    tapped = traced()
    for module in (fashion_mlp, hidden):
        module.tap = lambda name, x: x  # type: ignore[attr-defined]
    try:
        return tapped, traced()
    finally:
        from backends.jax.taps import tap

        for module in (fashion_mlp, hidden):
            module.tap = tap  # type: ignore[attr-defined]


def test_nothing_of_a_tap_is_compiled_in_jax(call: Call) -> None:
    tapped, plain = call("jax", "float32", jaxpr_with_and_without)
    assert "dot_general" in tapped
    assert tapped == plain


def own_names(backend: str) -> dict[str, list[int]]:
    """Names in a user's model: of modules, of an activation, of what is computed twice, turned."""
    if backend == "torch":
        return _own_names_in_torch()
    if backend == "tensorflow":
        return _own_names_in_keras()
    return _own_names_in_jax()


def _own_names_in_torch() -> dict[str, list[int]]:
    import torch
    from torch import nn

    from backends.torch.taps import recorded, tap

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return tap("turned", self.hidden(x).relu_(), (1, 0))

    model = nn.ModuleDict({"block": Block(), "lstm": nn.LSTM(2, 4)})
    with recorded(model, None) as record:
        for _ in range(2):
            h = model["block"](torch.ones(5, 3))
        model["lstm"](h[None])[0].sum().backward()
    return {n: [*v.shape, c is not None] for n, (v, c) in record.taps().items()}


def _own_names_in_keras() -> dict[str, list[int]]:
    import keras
    import tensorflow as tf

    from backends.tensorflow.taps import recorded, tap

    hidden = keras.layers.Dense(2, activation="relu", name="hidden")
    plain = keras.layers.Dense(4, name="output")
    x = keras.Input((3,))
    model = keras.Model(x, plain(hidden(x)))
    with recorded(model.layers, None) as record:
        with tf.GradientTape() as tape:
            y = model(tf.ones((5, 3)))
            loss = tf.reduce_sum(tap("turned", y, (1, 0)))
        found = record.taps(loss, tape)
    assert keras.layers.Layer.__call__.__name__ == "__call__"
    return {n: [*v.shape, c is not None] for n, (v, c) in found.items()}


def _own_names_in_jax() -> dict[str, list[int]]:
    import jax.numpy as jnp

    from backends.jax.taps import tap, taps_of

    def loss() -> Any:
        once = tap("turned", jnp.ones((5, 3)), (1, 0))
        return tap("turned", 2 * once, (1, 0)).sum()

    return {n: [*v.shape, c is not None] for n, (v, c) in taps_of(loss, None).items()}


EXPECTED = {
    "torch": {
        "block.hidden": [5, 2, False],  # what is computed in vain has no cotangent
        "block.turned": [2, 5, False],
        "block": [5, 2, False],
        "block.hidden (2)": [5, 2, True],
        "block.turned (2)": [2, 5, True],
        "block (2)": [5, 2, True],
        "lstm": [1, 5, 4, True],
    },
    "tensorflow": {
        "hidden": [5, 2, True],
        "hidden_activation": [5, 2, True],
        "output": [5, 4, True],
        "turned": [4, 5, True],
    },
    "jax": {"turned": [3, 5, True], "turned (2)": [3, 5, True], "loss": [True]},
}


@pytest.mark.parametrize("backend", EXPECTED)
def test_a_user_s_layers_have_their_names(call: Call, backend: str) -> None:
    assert call(backend, "float32", own_names) == EXPECTED[backend]
