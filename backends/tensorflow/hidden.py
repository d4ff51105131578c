"""The layers of dense stacks: dense, activation, and what may follow it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from backends.tensorflow.dropout import Dropout
from backends.tensorflow.engine import Batch
from backends.tensorflow.taps import tap
from tasks.task import MASK, Tree


def leaky_relu(a: tf.Tensor) -> tf.Tensor:
    """max(a, .1 a); ``tf.nn.leaky_relu`` keeps its slope in float32."""
    return tf.maximum(a, 0.1 * a)


def maxout(a: tf.Tensor) -> tf.Tensor:
    """The larger of two pieces, (n, units) from (n, 2 units)."""
    return tf.maximum(*tf.split(a, 2, axis=1))


ACTIVATIONS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "relu": tf.nn.relu,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "leaky_relu": leaky_relu,
    "elu": tf.nn.elu,
    "maxout": maxout,
}


def dense(inputs: int, outputs: int, name: str) -> keras.layers.Dense:
    """A dense layer with its weights."""
    layer = keras.layers.Dense(outputs, name=name)
    layer.build((None, inputs))
    return layer


def after(config: Any, name: str, width: int) -> list[keras.layers.Layer]:
    """The layers that follow a hidden layer's activation, as far as ``config`` has them."""
    layers = []
    if config.batch_norm:
        norm = keras.layers.BatchNormalization(
            momentum=config.momentum, epsilon=config.epsilon, name=f"{name}_norm"
        )
        norm.build((None, width))
        layers.append(norm)
    if config.dropout:
        layers.append(Dropout(config.dropout, name))
    return layers


def mask(layer: keras.layers.Layer, batch: Batch) -> Mapping[str, tf.Tensor | None]:
    """Arguments of a layer beside its input: if it drops, the mask of the batch."""
    return {"kept": batch.get(f"{MASK}{layer.layer}")} if isinstance(layer, Dropout) else {}


class Stack(keras.Model):
    """Dense layers with ``config.activation`` between them and one output, shaped as ``params``."""

    def __init__(self, config: Any, params: Tree):
        super().__init__(name="stack")
        self.activate = ACTIVATIONS[config.activation]
        self.stack = []
        for layer in (*config.layers, "output"):
            inputs, outputs = params[f"{layer}.kernel"].shape
            self.stack.append(dense(inputs, outputs, layer))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """The output (n,) for x (n, in)."""
        for layer in self.stack[:-1]:
            x = tap(f"{layer.name}_activation", self.activate(layer(x)))
        return self.stack[-1](x)[:, 0]
