"""A tiny base, for a state that is really pretrained."""

from __future__ import annotations

from dataclasses import replace

from tasks.fashion_mlp import FashionMLP
from tasks.task import DataSource
from tests.tiny import tiny_task


def base(source: DataSource) -> FashionMLP:
    """The tiny perceptron, one epoch."""
    task = tiny_task()
    task.config = replace(task.config, epochs=1)
    return task
