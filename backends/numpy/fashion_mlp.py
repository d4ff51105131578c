"""Fashion-MNIST multi-layer perceptron in NumPy, with its backward pass by hand."""

from __future__ import annotations

from backends.numpy.engine import Backward, Key, Program
from backends.numpy.layers import (
    dense,
    dense_backward,
    dense_backward_params,
    relu,
    relu_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from tasks.task import Array, State, Task, Tree


def forward(params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Logits (n, 10) from images (n, 784)."""
    h, _ = dense(batch["images"], params["hidden.kernel"], params["hidden.bias"])
    relu(h, out=h)  # (n, 128)
    logits, _ = dense(h, params["output.kernel"], params["output.bias"])
    return {"logits": logits}


def loss(params: Tree, buffers: Tree, batch: Tree, key: Key | None) -> tuple[Array, Tree, Backward]:
    """Mean cross-entropy over the batch, the buffers, and the way back to the parameters."""
    a, saved_hidden = dense(batch["images"], params["hidden.kernel"], params["hidden.bias"])
    h, saved_relu = relu(a, out=a)  # (n, 128)
    logits, saved_output = dense(h, params["output.kernel"], params["output.bias"])
    value, saved_loss = softmax_cross_entropy(logits, batch["labels"])

    def backward(cotangent: float) -> Tree:
        dlogits = softmax_cross_entropy_backward(cotangent, saved_loss)
        dh, dw_output, db_output = dense_backward(dlogits, saved_output)
        da = relu_backward(dh, saved_relu, out=dh)
        dw_hidden, db_hidden = dense_backward_params(da, saved_hidden)
        return {
            "hidden.kernel": dw_hidden,
            "hidden.bias": db_hidden,
            "output.kernel": dw_output,
            "output.bias": db_output,
        }

    return value, buffers, backward


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, loss)
