"""NumPy's layers and models against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from backends.numpy import fashion_mlp, layers
from backends.numpy.central_differences import Differentiable, of_loss, relative_error
from tasks.task import Array, Tree
from tests.backends.differences import TOLERANCE, layer, seeds, sizes
from tests.tiny import tiny_task


@given(seeds, sizes, sizes, sizes)
def test_dense(seed: int, n: int, inputs: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    params = {
        "x": rng.standard_normal((n, inputs)),
        "w": rng.standard_normal((inputs, outputs)),
        "b": rng.standard_normal(outputs),
    }
    check = layer(layers.dense, layers.dense_backward, "x", "w", "b")
    assert relative_error(check, params, {}, seed) < TOLERANCE
    dy, saved = rng.standard_normal((n, outputs)), (params["x"], params["w"])
    for short, long in zip(
        layers.dense_backward_params(dy, saved),
        layers.dense_backward(dy, saved)[1:],
        strict=True,
    ):
        np.testing.assert_array_equal(short, long)


@given(seeds, st.lists(sizes, min_size=1, max_size=3))
def test_relu(seed: int, shape: list[int]) -> None:
    x = np.random.default_rng(seed).standard_normal(shape)
    x += np.sign(x) * 1e-3  # a difference across the kink would mean nothing
    check = layer(layers.relu, layers.relu_backward, "x")
    assert relative_error(check, {"x": x}, {}, seed) < TOLERANCE


def test_relu_has_gradient_zero_at_zero() -> None:
    _, saved = layers.relu(np.zeros(3))
    np.testing.assert_array_equal(layers.relu_backward(np.ones(3), saved), np.zeros(3))


@given(seeds, sizes, st.integers(2, 7))
def test_softmax_cross_entropy(seed: int, n: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    z, labels = 3 * rng.standard_normal((n, classes)), rng.integers(0, classes, n)
    check = layer(
        lambda z: layers.softmax_cross_entropy(z, labels),
        layers.softmax_cross_entropy_backward,
        "z",
    )
    assert relative_error(check, {"z": z}, {}, seed) < TOLERANCE


@given(seeds, sizes, st.integers(2, 7))
def test_softmax_entropy(seed: int, n: int, classes: int) -> None:
    z = 3 * np.random.default_rng(seed).standard_normal((n, classes))
    check = layer(layers.softmax_entropy, layers.softmax_entropy_backward, "z")
    assert relative_error(check, {"z": z}, {}, seed) < TOLERANCE
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert layers.softmax_entropy(z)[0] == pytest.approx(-(p * np.log(p)).sum(axis=1).mean())


@settings(max_examples=20)
@given(st.floats(-1e4, 1e4))
def test_softmax_cross_entropy_neither_overflows_nor_depends_on_a_shift(shift: float) -> None:
    z, labels = np.array([[0.0, 1.0, 2.0], [900.0, -900.0, 0.0]]), np.array([2, 0])
    loss, saved = layers.softmax_cross_entropy(z + shift, labels)
    assert loss == pytest.approx(np.log(1 + np.exp(-1) + np.exp(-2)) / 2, abs=1e-10)
    assert np.isfinite(layers.softmax_cross_entropy_backward(1.0, saved)).all()


def batch_of(task: Any) -> dict[str, Array]:
    chunk = next(task.chunks("train", 0))
    batch = task.excerpt({name: a[0] for name, a in chunk.items()})
    return {"images": batch["images"].astype(np.float64), "labels": batch["labels"]}


def loss_of(task: Any) -> Differentiable:
    return of_loss(partial(fashion_mlp.loss, task.config), {})


@pytest.mark.parametrize("seed", range(5))
def test_fashion_mlp(seed: int) -> None:
    task = tiny_task()
    params = task.initial(seed).astype("float64").params
    assert relative_error(loss_of(task), params, batch_of(task), seed) < TOLERANCE


def spoiled(spoil: Callable[[dict[str, Array]], object]) -> Differentiable:
    """The perceptron with gradients that ``spoil`` has changed."""

    def forward(params: Tree, batch: Tree) -> tuple[Tree, Callable[[Tree], Tree]]:
        outputs, backward = loss_of(tiny_task())(params, batch)

        def wrong(cotangent: Tree) -> Tree:
            gradients = dict(backward(cotangent))
            spoil(gradients)
            return gradients

        return outputs, wrong

    return forward


LEAVES = ["hidden.kernel", "hidden.bias", "output.kernel", "output.bias"]


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("factor", [1 + 1e-4, np.nan])
def test_a_planted_error_in_any_leaf_is_caught(leaf: str, factor: float) -> None:
    task = tiny_task()
    params = task.initial(0).astype("float64").params
    wrong = spoiled(lambda gradients: gradients.update({leaf: gradients[leaf] * factor}))
    assert not relative_error(wrong, params, batch_of(task), 0) <= TOLERANCE


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_that_backward_forgets_is_caught(leaf: str) -> None:
    task = tiny_task()
    params = task.initial(0).astype("float64").params
    with pytest.raises(KeyError, match=leaf):
        relative_error(spoiled(lambda g: g.pop(leaf)), params, batch_of(task), 0)
