"""The perceptron in NumPy, with its backward pass by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

from backends.numpy.arrays import xp
from backends.numpy.engine import Backward, Key, Program
from backends.numpy.hidden import stack
from backends.numpy.layers import sigmoid_cross_entropy, sigmoid_cross_entropy_backward
from tasks.task import Array, State, Task, Tree

COUNT = "count.mistakes"


def forward(config: Any, params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Logits (n,) from points (n, 2), and the number of mistakes until now (1,)."""
    logits, _ = stack(config, params, batch["inputs"])
    return {"logits": logits, "mistakes": buffers[COUNT]}


def loss(
    config: Any, params: Tree, buffers: Tree, batch: Tree, key: Key | None
) -> tuple[Array, Tree, Backward]:
    """Mean loss over the batch, the new count, the way back to the parameters."""
    z, back = stack(config, params, batch["inputs"])
    labels = batch["labels"]
    signs = 2 * labels - 1
    wrong = (signs * z <= 0).astype(z.dtype)
    counted = {COUNT: buffers[COUNT] + wrong.sum()}
    if config.loss == "perceptron":
        # the gradient of a mistake is -sign, also where z is 0: so the rule leaves w = b = 0
        return (wrong * xp.abs(z)).mean(), counted, lambda c: back(-signs * wrong * (c / len(z)))
    value, saved = sigmoid_cross_entropy(z, labels)
    return value, counted, lambda c: back(sigmoid_cross_entropy_backward(c, saved))


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    config = task.config
    return Program(task, state, seed, partial(forward, config), partial(loss, config))
