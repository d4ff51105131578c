"""Fashion-MNIST multi-layer perceptron in tinygrad."""

from __future__ import annotations

from functools import partial
from typing import Any

from tinygrad import Tensor

from tasks.task import State, Task

from .engine import Program, Tensors
from .hidden import activated, dense, dropout, normalized


def forward(config: Any, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
    """Logits (n, 10) from images (n, 784), and the activations of all hidden units (n, units)."""
    logits, hidden, _ = _model(config, params, buffers, batch, training=False)
    return {"logits": logits, "hidden": Tensor.cat(*hidden, dim=1)}


def loss(config: Any, params: Tensors, buffers: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
    """Mean loss over the batch plus penalties, and the new buffers."""
    logits, _, renewed = _model(config, params, buffers, batch, training=True)
    if config.loss == "squared":
        errors = logits.softmax() - batch["labels"].one_hot(config.classes)
        value = errors.square().sum(axis=1).mean()
    else:
        value = logits.sparse_categorical_crossentropy(batch["labels"])
    for w in (params[f"{layer}.kernel"] for layer in config.layers):
        if config.l1:
            value += config.l1 * w.abs().sum()
        if config.l2:
            value += config.l2 * w.square().sum()
    return value, renewed


def _model(
    config: Any, params: Tensors, buffers: Tensors, batch: Tensors, training: bool
) -> tuple[Tensor, list[Tensor], Tensors]:
    """The logits, the activations of each hidden layer, and the new buffers."""
    h, hidden = batch["images"], []
    renewed: dict[str, Tensor] = {}
    for number, layer in enumerate(config.layers):
        h = activated(config, params, layer, h)
        hidden.append(h)
        h, new = normalized(config, params, buffers, layer, h, training)
        h = dropout(config.dropout, h, batch, number, layer)
        renewed |= new
    return config.beta * dense(params, "output", h), hidden, renewed


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    config = task.config
    functions = partial(forward, config), partial(loss, config)
    return Program(task, state, seed, *functions, draws=config.dropout > 0)
