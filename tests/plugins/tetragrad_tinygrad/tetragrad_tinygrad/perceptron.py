"""The perceptron in tinygrad."""

from __future__ import annotations

from functools import partial
from typing import Any

from tinygrad import Tensor

from tasks.task import State, Task

from .engine import Program, Tensors
from .hidden import stack

COUNT = "count.mistakes"


def forward(config: Any, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
    """Logits (n,) from points (n, 2), and the number of mistakes until now (1,)."""
    return {"logits": stack(config, params, batch["inputs"]), "mistakes": buffers[COUNT]}


def loss(config: Any, params: Tensors, buffers: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
    """Mean loss over the batch, and the new count."""
    z, labels = stack(config, params, batch["inputs"]), batch["labels"]
    agreement = (2 * labels - 1) * z
    wrong = agreement <= 0
    counted = {COUNT: buffers[COUNT] + wrong.cast(z.dtype).sum()}
    if config.loss == "perceptron":
        # the gradient of a mistake is -sign, also where z is 0: so the rule leaves w = b = 0
        return wrong.where(-agreement, 0).mean(), counted
    return z.binary_crossentropy_logits(labels), counted


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    config = task.config
    return Program(task, state, seed, partial(forward, config), partial(loss, config))
