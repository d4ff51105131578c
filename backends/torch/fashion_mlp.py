"""Fashion-MNIST multi-layer perceptron in PyTorch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.engine import Batch, Program
from tasks.task import State, Task


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Logits (n, 10) from images (n, 784)."""
    return {"logits": model(batch["images"])}


def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy over the batch."""
    return F.cross_entropy(forward(model, batch)["logits"], batch["labels"].long())


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    inputs, hidden = state.params["hidden.kernel"].shape
    classes = len(state.params["output.bias"])
    model = nn.Sequential(
        OrderedDict(
            hidden=nn.Linear(inputs, hidden),
            relu=nn.ReLU(),
            output=nn.Linear(hidden, classes),
        )
    )
    return Program(task, state, seed, model, forward, loss)
