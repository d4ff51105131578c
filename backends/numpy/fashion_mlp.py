"""Fashion-MNIST multi-layer perceptron in NumPy, with its backward pass by hand."""

from __future__ import annotations

from collections.abc import Callable

from backends.numpy.engine import Backward, Program
from backends.numpy.layers import (
    dense,
    dense_backward,
    dense_backward_params,
    relu,
    relu_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from suite.contract import Array, State, Task, Tree


def forward(params: Tree, batch: Tree) -> tuple[Tree, Callable[[Tree], Tree]]:
    """Logits (n, 10) from images (n, 784), and the way back to the parameters."""
    a, saved_hidden = dense(batch["images"], params["hidden.kernel"], params["hidden.bias"])
    h, saved_relu = relu(a, out=a)  # (n, 128)
    logits, saved_output = dense(h, params["output.kernel"], params["output.bias"])

    def backward(cotangent: Tree) -> Tree:
        dh, dw_output, db_output = dense_backward(cotangent["logits"], saved_output)
        da = relu_backward(dh, saved_relu, out=dh)
        dw_hidden, db_hidden = dense_backward_params(da, saved_hidden)
        return {
            "hidden.kernel": dw_hidden,
            "hidden.bias": db_hidden,
            "output.kernel": dw_output,
            "output.bias": db_output,
        }

    return {"logits": logits}, backward


def loss(params: Tree, batch: Tree) -> tuple[Array, Backward]:
    """Mean cross-entropy over the batch, and the way back to the parameters."""
    outputs, forward_backward = forward(params, batch)
    value, saved = softmax_cross_entropy(outputs["logits"], batch["labels"])

    def backward(cotangent: float) -> Tree:
        return forward_backward({"logits": softmax_cross_entropy_backward(cotangent, saved)})

    return value, backward


def build(task: Task, state: State) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, forward, loss)
