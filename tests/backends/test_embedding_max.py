"""The gradient of a maximum over words where words are equal, in the backends with a way of their
own to the winners; NumPy's has its test among its layers."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.task import Array
from tests.backends.conftest import Call

WORDS = np.array([[0, 1, 1, 2], [3, 3, 3, 3]], np.int32)
COTANGENT = np.array([[1.0, 2.0], [4.0, 8.0]])


def gradient(backend: str, table: Array) -> tuple[Array, Array]:
    """The maxima (2, 2) of ``WORDS`` and the table's gradient by ``COTANGENT``."""
    if backend == "torch":
        import torch

        from backends.torch.text import EmbeddingMax

        layer = EmbeddingMax(*table.shape).double()
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(table))
        y = layer(torch.from_numpy(WORDS))
        y.backward(torch.from_numpy(COTANGENT))
        assert layer.weight.grad is not None
        return y.detach().numpy(), layer.weight.grad.numpy()
    if backend == "jax":
        import jax
        import jax.numpy as jnp

        from backends.jax.imdb_text import _embedding_max

        y, back = jax.vjp(lambda w: _embedding_max(w, jnp.asarray(WORDS)), jnp.asarray(table))
        return np.asarray(y), np.asarray(back(jnp.asarray(COTANGENT))[0])
    import tensorflow as tf

    from backends.tensorflow.text import embedding_max

    w = tf.constant(table)
    with tf.GradientTape() as tape:
        tape.watch(w)
        y = embedding_max(w, tf.constant(WORDS))
    return y.numpy(), tape.gradient(y, w, COTANGENT).numpy()


@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_one_of_equal_words_alone_gets_the_gradient(call: Call, backend: str) -> None:
    y, dw = call(backend, "float64", gradient, np.zeros((5, 2)))
    assert (y == 0).all()
    # the first text's goes to one of its words, in each channel; the second has but one
    assert sorted(dw[:3, 0]) == [0, 0, 1]
    assert sorted(dw[:3, 1]) == [0, 0, 2]
    np.testing.assert_array_equal(dw[3:], [[4, 8], [0, 0]])


@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_the_gradient_goes_to_the_largest(call: Call, backend: str) -> None:
    table = np.array([[1.0, -3.0], [-1.0, -2.0], [2.0, -4.0], [-5.0, 5.0], [9.0, 9.0]])
    y, dw = call(backend, "float64", gradient, table)
    np.testing.assert_array_equal(y, [[2, -2], [-5, 5]])
    np.testing.assert_array_equal(dw, [[0, 0], [0, 2], [1, 0], [4, 8], [0, 0]])
