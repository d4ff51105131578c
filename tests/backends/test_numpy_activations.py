"""NumPy's activations and the perceptron's choices against central differences, in float64."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit, softmax

from backends.numpy import activations, fashion_mlp, layers
from backends.numpy.activations import ACTIVATIONS
from backends.numpy.central_differences import of_loss, relative_error
from suite.worker.trace import steps_between
from tests.backends.differences import TOLERANCE, layer, seeds, sizes
from tests.choices import SINGLE, TOGETHER, Choice, label
from tests.tiny import chosen_task

BENT = ("relu", "leaky_relu", "maxout")


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(seed=seeds, n=sizes, units=sizes)
def test_activation(name: str, seed: int, n: int, units: int) -> None:
    x = np.random.default_rng(seed).standard_normal((n, 2 * units))
    if name == "maxout":
        first, second = np.split(x, 2, axis=1)
        first += np.sign(first - second) * 1e-3
    elif name in BENT:
        x += np.sign(x) * 1e-3  # a difference across the kink would mean nothing
    forward, backward = ACTIVATIONS[name]
    # both may write into what they are given
    check = layer(lambda x: forward(x.copy()), lambda dy, s: backward(dy.copy(), s), "x")
    assert relative_error(check, {"x": x}, {}, seed) < TOLERANCE


@given(seed=seeds)
def test_activations_are_those_of_their_formulas(seed: int) -> None:
    x = 3 * np.random.default_rng(seed).standard_normal((3, 4))
    formulas = {
        "sigmoid": expit(x),
        "tanh": np.tanh(x),
        "leaky_relu": np.where(x > 0, x, 0.1 * x),
        "elu": np.where(x > 0, x, np.exp(x) - 1),
        "maxout": np.where(x[:, :2] > x[:, 2:], x[:, :2], x[:, 2:]),
    }
    for name, expected in formulas.items():
        y, _ = ACTIVATIONS[name][0](x.copy())
        np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-15, err_msg=name)


def test_nothing_overflows() -> None:
    x = np.array([[-1e4, 1e4]])
    for forward, backward in ACTIVATIONS.values():
        y, saved = forward(x.copy())
        assert np.isfinite(backward(np.ones_like(y), saved)).all()
    np.testing.assert_array_equal(activations.sigmoid(x)[0], [[0, 1]])


@given(seeds, sizes, st.integers(2, 7))
def test_softmax_squared_error(seed: int, n: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    z, labels = 3 * rng.standard_normal((n, classes)), rng.integers(0, classes, n)
    check = layer(
        lambda z: layers.softmax_squared_error(z, labels),
        layers.softmax_squared_error_backward,
        "z",
    )
    assert relative_error(check, {"z": z}, {}, seed) < TOLERANCE
    value, _ = layers.softmax_squared_error(z + 1e4, labels)
    errors = softmax(z, axis=1) - np.eye(classes)[labels]
    assert value == pytest.approx((errors**2).sum(axis=1).mean(), abs=1e-10)


@pytest.mark.parametrize("choice", [*SINGLE, *TOGETHER], ids=label)
def test_every_choice(choice: Choice) -> None:
    task = chosen_task(**choice)
    state = task.initial(0).astype("float64")
    batch = task.excerpt({name: a[0] for name, a in next(steps_between(task, 0, 0, 1)).items()})
    batch = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in batch.items()}
    loss = of_loss(partial(fashion_mlp.loss, task.config), state.buffers)
    assert relative_error(loss, state.params, batch, 0) < TOLERANCE
