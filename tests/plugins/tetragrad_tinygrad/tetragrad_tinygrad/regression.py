"""Regression in tinygrad."""

from __future__ import annotations

from functools import partial
from typing import Any

from tinygrad import Tensor

from tasks.task import State, Task

from .engine import Program, Tensors
from .hidden import stack


def forward(config: Any, params: Tensors, buffers: Tensors, batch: Tensors) -> Tensors:
    """Values (n,) of points (n, 2)."""
    return {"values": stack(config, params, batch["inputs"])}


def loss(config: Any, params: Tensors, buffers: Tensors, batch: Tensors) -> tuple[Tensor, Tensors]:
    """Mean squared error over the batch, and no buffers."""
    errors = stack(config, params, batch["inputs"]) - batch["values"]
    return errors.square().mean(), {}


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    config = task.config
    return Program(task, state, seed, partial(forward, config), partial(loss, config))
