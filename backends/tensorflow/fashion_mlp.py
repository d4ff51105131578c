"""Fashion-MNIST multi-layer perceptron in TensorFlow, from Keras layers."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from backends.tensorflow.engine import Batch, Program
from tasks.task import State, Task


def forward(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Logits (n, 10) from images (n, 784)."""
    return {"logits": model(batch["images"])}


def loss(model: keras.Model, batch: Batch) -> tf.Tensor:
    """Mean cross-entropy over the batch."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=batch["labels"], logits=forward(model, batch)["logits"]
    )
    return tf.reduce_mean(losses)


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    inputs, hidden = state.params["hidden.kernel"].shape
    classes = len(state.params["output.bias"])
    model = keras.Sequential(
        [
            keras.Input((inputs,)),
            keras.layers.Dense(hidden, activation="relu", name="hidden"),
            keras.layers.Dense(classes, name="output"),
        ]
    )
    return Program(task, state, seed, model, forward, loss)
