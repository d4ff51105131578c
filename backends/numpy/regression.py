"""Regression in NumPy, with its backward pass by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

from backends.numpy.arrays import xp
from backends.numpy.engine import Backward, Key, Program
from backends.numpy.hidden import stack
from tasks.task import Array, State, Task, Tree


def forward(config: Any, params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Values (n,) of points (n, 2)."""
    values, _ = stack(config, params, batch["inputs"])
    return {"values": values}


def loss(
    config: Any, params: Tree, buffers: Tree, batch: Tree, key: Key | None
) -> tuple[Array, Tree, Backward]:
    """Mean squared error over the batch, no buffers, the way back to the parameters."""
    values, back = stack(config, params, batch["inputs"])
    errors = values - batch["values"]
    return xp.square(errors).mean(), {}, lambda c: back(errors * (2 * c / len(errors)))


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    config = task.config
    return Program(task, state, seed, partial(forward, config), partial(loss, config))
