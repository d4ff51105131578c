"""The perceptron in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.engine import Batch, Program
from backends.torch.hidden import Stack
from backends.torch.kept import Kept
from tasks.task import State, Task, Tree


class _Perceptron(Stack):
    def __init__(self, config: Any, params: Tree):
        super().__init__(config, params)
        self.count = Kept(mistakes=(1,))


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Logits (n,) from points (n, 2), and the number of mistakes until now (1,)."""
    return {"logits": model(batch["inputs"]), "mistakes": model.get_buffer("count.mistakes")}


def loss(config: Any, model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean loss over the batch; the model's count goes on."""
    z, labels = model(batch["inputs"]), batch["labels"]
    agreement = (2 * labels - 1) * z
    wrong = agreement <= 0
    model.get_buffer("count.mistakes").add_(wrong.sum())
    if config.loss == "perceptron":
        # the gradient of a mistake is -sign, also where z is 0: so the rule leaves w = b = 0
        return torch.where(wrong, -agreement, 0).mean()
    return F.binary_cross_entropy_with_logits(z, labels)


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    model = _Perceptron(task.config, state.params)
    return Program(task, state, seed, model, forward, partial(loss, task.config))
