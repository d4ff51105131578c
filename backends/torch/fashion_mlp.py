"""Fashion-MNIST multi-layer perceptron in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.engine import Batch, Program
from backends.torch.hidden import ACTIVATIONS, add_after, followed
from backends.torch.taps import tap
from tasks.task import State, Task, Tree


class _Perceptron(nn.Module):
    """The hidden layers of ``config`` and the output layer, in the shapes of ``params``."""

    def __init__(self, config: Any, params: Tree):
        super().__init__()
        self._activate, self._beta = ACTIVATIONS[config.activation], config.beta
        self._stack: list[tuple[str, nn.Linear, list[nn.Module]]] = []
        for layer, width in zip(config.layers, config.widths, strict=True):
            dense = nn.Linear(*params[f"{layer}.kernel"].shape)
            self.add_module(layer, dense)
            self._stack.append((layer, dense, add_after(self, config, layer, width)))
        self.output = nn.Linear(*params["output.kernel"].shape)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Logits (n, 10) from images (n, 784), and the activations of each hidden layer."""
        h, hidden = batch["images"], []
        for name, dense, after in self._stack:
            h = tap(f"{name}_activation", self._activate(dense(h)))
            hidden.append(h)
            for layer in after:
                h = followed(layer, h, batch)
        logits = self.output(h)
        return logits if self._beta == 1 else self._beta * logits, hidden


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Logits (n, 10) from images (n, 784), and the activations of all hidden units (n, units)."""
    logits, hidden = model(batch)
    return {"logits": logits, "hidden": torch.cat(hidden, dim=1)}


def loss(config: Any, model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean loss over the batch plus penalties."""
    (logits, _), labels = model(batch), batch["labels"].long()
    if config.loss == "squared":
        errors = logits.softmax(dim=1) - F.one_hot(labels, config.classes)
        value: torch.Tensor = errors.square().sum(dim=1).mean()
    else:
        value = F.cross_entropy(logits, labels)
    if config.l1 or config.l2:
        kernels = [model.get_parameter(f"{layer}.weight") for layer in config.layers]
        absolute = torch.stack([w.abs().sum() for w in kernels]).sum()
        squares = torch.stack([w.square().sum() for w in kernels]).sum()
        value = value + config.l1 * absolute + config.l2 * squares
    return value


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    model = _Perceptron(task.config, state.params)
    return Program(task, state, seed, model, forward, partial(loss, task.config))
