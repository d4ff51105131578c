"""Regression in TensorFlow, from Keras layers."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from backends.tensorflow.engine import Batch, Program
from backends.tensorflow.hidden import Stack
from tasks.task import State, Task


def forward(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Values (n,) of points (n, 2)."""
    return {"values": model(batch["inputs"])}


def loss(model: keras.Model, batch: Batch) -> tf.Tensor:
    """Mean squared error over the batch."""
    return tf.reduce_mean(tf.square(model(batch["inputs"]) - batch["values"]))


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, Stack(task.config, state.params), forward, loss)
