"""How far a gradient reaches back, against central differences of the loss."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from backends.numpy import lstm as model
from tasks import vanishing
from tasks.lstm import LSTM
from tasks.task import Array, State, Tree
from tests.tasks.tiny_lstm import HIDDEN, UNROLL, tiny_task

STEP = 1e-6


def random_state(task: LSTM) -> State:
    """Parameters so large that no gate is half open and no gradient tiny."""
    rng = np.random.default_rng(4)
    params = task.initial(0).astype("float64").params
    return State(
        {name: leaf + rng.standard_normal(leaf.shape) for name, leaf in params.items()}, {}
    )


def last_nats(params: Tree, inputs: Array, target: int, state: Tree) -> float:
    """The cross-entropy after ``inputs`` (T,) from a state (1, H) before them."""
    targets = np.full((1, len(inputs)), target)
    batch = {"inputs": inputs[None], "targets": targets, **state}
    return float(model.forward(params, {}, batch)["nats"][0, -1])


def moved(state: Tree, part: str, move: Array) -> Tree:
    """A state with a part moved; the hidden one, o tanh(c), follows the cell."""
    after = {**state, part: state[part] + move}
    if part == "cell":
        after["hidden"] = state["hidden"] / np.tanh(state["cell"]) * np.tanh(after["cell"])
    return after


def norms_by_differences(params: Tree, inputs: Array, target: int, state: Tree, part: str) -> float:
    slopes = []
    for unit in range(HIDDEN):
        moves = (sign * STEP * np.eye(1, HIDDEN, unit) for sign in (1, -1))
        states = (moved(state, part, move) for move in moves)
        ahead, behind = map(partial(last_nats, params, inputs, target), states)
        slopes.append((ahead - behind) / (2 * STEP))
    return float(np.linalg.norm(slopes))


@pytest.mark.parametrize("variant", [None, "rnn"])
def test_it_is_the_gradient_of_the_loss_of_the_last_character(variant: str | None) -> None:
    task = tiny_task(variant)
    params = random_state(task).params
    ids = np.random.default_rng(6).integers(0, task.config.characters, (UNROLL, 2))
    targets = np.array([3, 40])
    found = vanishing.reach(task.layer, params, ids, targets)
    assert tuple(found) == task.carried
    for back in range(1, UNROLL):  # at 0 the state is the last: nothing is left to run
        head, rest = ids[: UNROLL - back], ids[UNROLL - back :]
        zero = {name: np.zeros((2, HIDDEN)) for name in task.carried}
        given = {"inputs": head.T, "targets": head.T, **zero}
        after = model.forward(params, {}, given)
        for part in task.carried:
            norms = []
            for text in range(2):
                state = {name: after[name][text : text + 1] for name in task.carried}
                norms.append(
                    norms_by_differences(params, rest[:, text], targets[text], state, part)
                )
            assert found[part][back] == pytest.approx(np.mean(norms), rel=1e-6)


def test_at_no_distance_it_is_that_of_the_output_layer() -> None:
    task = tiny_task("rnn")
    params = random_state(task).params
    ids, targets = np.array([[1, 2]]), np.array([3, 4])
    states = model.forward(
        params, {}, {"inputs": ids.T, "targets": ids.T, "hidden": np.zeros((2, HIDDEN))}
    )
    p = np.exp(states["logits"])
    p /= p.sum(axis=1, keepdims=True)
    slopes = (p - np.eye(task.config.characters)[targets]) @ params["output.kernel"].T
    (norm,) = vanishing.reach("rnn", params, ids, targets)["hidden"]
    assert norm == pytest.approx(np.linalg.norm(slopes, axis=1).mean())


@pytest.mark.parametrize("variant", [None, "rnn"])
def test_a_task_shows_it_by_distance(variant: str | None) -> None:
    task = tiny_task(variant)
    (drawn,) = task.pictures(lambda: random_state(task)).values()
    assert drawn.rows == tuple(f"{name} state" for name in task.carried)
    assert drawn.columns == tuple(map(str, range(UNROLL)))
    assert drawn.axes == ("steps back", "norm of the gradient")
    inputs, targets = (text[:, :UNROLL].T for text in task._streams("test", 1))
    norms = vanishing.reach(task.layer, random_state(task).params, inputs, targets[-1])
    np.testing.assert_allclose(10.0**drawn.values, [*norms.values()], rtol=1e-12)


def test_a_gradient_that_is_gone_can_be_drawn() -> None:
    task = tiny_task("rnn")
    params = {name: np.zeros_like(leaf) for name, leaf in random_state(task).params.items()}
    (drawn,) = task.pictures(lambda: State(params, {})).values()
    assert np.isfinite(drawn.values).all()
