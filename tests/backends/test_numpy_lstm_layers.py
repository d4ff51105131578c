"""NumPy's recurrent layers and character models by central differences, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit

from backends.numpy import lstm as model, recurrent
from backends.numpy.central_differences import of_loss, relative_error
from tasks.task import Array, Tree
from tests.backends.differences import TOLERANCE, layer, seeds, sizes
from tests.tasks.tiny_lstm import tiny_task


def random_layer(
    seed: int, steps: int, n: int, rows: int, units: int, gates: int = 4
) -> tuple[dict[str, Array], Array, Array, Array]:
    rng = np.random.default_rng(seed)
    params = {
        "table": rng.standard_normal((rows, gates * units)),
        "w": rng.standard_normal((units, gates * units)) / np.sqrt(units),
    }
    h, c = rng.standard_normal((2, n, units))
    return params, rng.integers(0, rows, (steps, n)), h, c


@given(seeds, sizes, st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_lstm(seed: int, steps: int, n: int, rows: int, units: int) -> None:
    params, ids, h, c = random_layer(seed, steps, n, rows, units)

    def forward(table: Array, w: Array) -> tuple[Array, recurrent.Saved]:
        y, _, saved = recurrent.lstm(table, ids, w, h, c)
        return y, saved

    check = layer(forward, recurrent.lstm_backward, "table", "w")
    assert np.max(relative_error(check, params, {}, seed)) < TOLERANCE


@given(seeds, sizes, sizes, sizes, sizes)
def test_lstm_follows_its_equations(seed: int, steps: int, n: int, rows: int, units: int) -> None:
    params, ids, h, c = random_layer(seed, steps, n, rows, units)
    states, last, _ = recurrent.lstm(params["table"], ids, params["w"], h, c)
    for t in range(steps):
        i, f, g, o = np.split(params["table"][ids[t]] + h @ params["w"], 4, axis=1)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
        np.testing.assert_allclose(states[t], h, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(last, c, rtol=1e-12, atol=1e-14)


@given(seeds, st.integers(2, 7))
def test_lstm_in_pieces_is_lstm_at_once(seed: int, steps: int) -> None:
    params, ids, h, c = random_layer(seed, steps, 3, 4, 5)
    table, w = params["table"], params["w"]
    whole, last, _ = recurrent.lstm(table, ids, w, h, c)
    first, between, _ = recurrent.lstm(table, ids[:1], w, h, c)
    rest, end, _ = recurrent.lstm(table, ids[1:], w, first[-1], between)
    np.testing.assert_allclose(np.concatenate([first, rest]), whole, rtol=1e-13)
    np.testing.assert_allclose(end, last, rtol=1e-13)


@given(seeds, sizes, st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_rnn(seed: int, steps: int, n: int, rows: int, units: int) -> None:
    params, ids, h, _ = random_layer(seed, steps, n, rows, units, gates=1)

    def forward(table: Array, w: Array) -> tuple[Array, recurrent.Saved]:
        return recurrent.rnn(table, ids, w, h)

    check = layer(forward, recurrent.rnn_backward, "table", "w")
    assert np.max(relative_error(check, params, {}, seed)) < TOLERANCE


@given(seeds, sizes, sizes, sizes, sizes)
def test_rnn_follows_its_equation(seed: int, steps: int, n: int, rows: int, units: int) -> None:
    params, ids, h, _ = random_layer(seed, steps, n, rows, units, gates=1)
    states, _ = recurrent.rnn(params["table"], ids, params["w"], h)
    for t in range(steps):
        h = np.tanh(params["table"][ids[t]] + h @ params["w"])
        np.testing.assert_allclose(states[t], h, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("variant", [None, "rnn"])
@pytest.mark.parametrize("reset", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_model(seed: int, reset: float, variant: str | None) -> None:
    """From a state that was carried: what the first step of an epoch would leave unseen."""
    task = tiny_task(variant)
    state = task.initial(seed).astype("float64")
    rng = np.random.default_rng(seed)
    buffers = {name: np.array(rng.standard_normal(b.shape)) for name, b in state.buffers.items()}
    chunk = next(task.chunks("train"))
    batch: Tree = {
        **task.excerpt({name: a[1] for name, a in chunk.items()}),
        "reset": np.asarray(reset),
    }
    check = of_loss(model.loss, buffers)
    assert np.max(relative_error(check, state.params, batch, seed)) < TOLERANCE
