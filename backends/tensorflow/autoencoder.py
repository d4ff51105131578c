"""Autoencoder whose code is clustered, in TensorFlow, from Keras layers."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from backends.tensorflow.engine import Batch, Program
from tasks.task import State, Task

SMALLEST_NORM = 1e-12


class _Normalized(keras.layers.Layer):
    """sqrt(code) a / max(|a|, 1e-12), row by row, for a (n, code)."""

    def call(self, a: tf.Tensor) -> tf.Tensor:
        # its epsilon is a lower bound of the squared norm
        return tf.math.l2_normalize(a, axis=1, epsilon=SMALLEST_NORM**2) * a.shape[1] ** 0.5


def forward(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Codes (n, code) and squared errors (n,) from inputs (n, inputs)."""
    codes, output = model(batch["inputs"])
    errors = tf.math.squared_difference(output, batch["inputs"])
    return {"codes": codes, "squared_error": tf.reduce_sum(errors, axis=1)}


def loss(model: keras.Model, batch: Batch) -> tf.Tensor:
    """Mean over the batch of the squared error, plus the penalty where the batch has centres."""
    codes, output = model(batch["inputs"])
    half = tf.nn.l2_loss(output - batch["inputs"])  # half the sum of squares
    if "centres" in batch:
        half += batch["penalty"] * tf.nn.l2_loss(codes - batch["centres"])
    return half * (2 / codes.shape[0])


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    x = inputs = keras.Input((len(state.params["decoder.output.bias"]),))
    codes = _Normalized(name="codes")(_layers(state, "encoder", x))
    model = keras.Model(inputs, [codes, _layers(state, "decoder", codes)])
    return Program(task, state, seed, model, forward, loss)


def _layers(state: State, part: str, x: keras.KerasTensor) -> keras.KerasTensor:
    """The dense layers of one part, ``hidden1``, ..., ``output``, with ReLU on all but the last."""
    for name, bias in state.params.items():
        if name.startswith(part) and name.endswith(".bias"):
            layer = name.removesuffix(".bias")
            activation = None if layer.endswith("output") else "relu"
            x = keras.layers.Dense(len(bias), activation=activation, name=layer)(x)
    return x
