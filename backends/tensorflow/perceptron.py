"""The perceptron in TensorFlow, from Keras layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from backends.tensorflow.engine import Batch, Program
from backends.tensorflow.hidden import Stack
from backends.tensorflow.kept import Kept
from tasks.task import State, Task, Tree


class _Perceptron(Stack):
    def __init__(self, config: Any, params: Tree):
        super().__init__(config, params)
        self.count = Kept("count", mistakes=(1,))


def forward(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Logits (n,) from points (n, 2), and the number of mistakes until now (1,)."""
    count = tf.convert_to_tensor(model.count.mistakes)
    return {"logits": model(batch["inputs"]), "mistakes": count}


def loss(config: Any, model: keras.Model, batch: Batch) -> tf.Tensor:
    """Mean loss over the batch; the model's count goes on."""
    z, labels = model(batch["inputs"]), batch["labels"]
    agreement = (2 * labels - 1) * z
    wrong = agreement <= 0
    model.count.mistakes.value.assign_add(tf.reduce_sum(tf.cast(wrong, z.dtype))[None])
    if config.loss == "perceptron":
        # the gradient of a mistake is -sign, also where z is 0: so the rule leaves w = b = 0
        return tf.reduce_mean(tf.where(wrong, -agreement, 0))
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=z)
    return tf.reduce_mean(losses)


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    model = _Perceptron(task.config, state.params)
    return Program(task, state, seed, model, forward, partial(loss, task.config))
