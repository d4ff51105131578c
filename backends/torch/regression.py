"""Regression in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.engine import Batch, Program
from backends.torch.hidden import Stack
from tasks.task import State, Task


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Values (n,) of points (n, 2)."""
    return {"values": model(batch["inputs"])}


def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean squared error over the batch."""
    return F.mse_loss(model(batch["inputs"]), batch["values"])


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, Stack(task.config, state.params), forward, loss)
