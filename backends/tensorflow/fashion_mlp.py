"""Fashion-MNIST multi-layer perceptron in TensorFlow, from Keras layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from backends.tensorflow.engine import Batch, Program
from backends.tensorflow.hidden import ACTIVATIONS, after, dense, mask
from backends.tensorflow.taps import tap
from tasks.task import State, Task, Tree


class _Perceptron(keras.Model):
    """The hidden layers of ``config`` and the output layer, in the shapes of ``params``."""

    def __init__(self, config: Any, params: Tree):
        super().__init__(name="perceptron")
        self.activate, self.beta = ACTIVATIONS[config.activation], config.beta
        self.stack = []
        for layer, width in zip(config.layers, config.widths, strict=True):
            inputs, outputs = params[f"{layer}.kernel"].shape
            self.stack.append(dense(inputs, outputs, layer))
            self.stack += after(config, layer, width)
        inputs, outputs = params["output.kernel"].shape
        self.output_layer = dense(inputs, outputs, "output")

    def call(self, batch: Batch, training: bool = False) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Logits (n, 10) from images (n, 784), and the activations of each hidden layer."""
        h, hidden = batch["images"], []
        for layer in self.stack:
            if isinstance(layer, keras.layers.Dense):
                h = tap(f"{layer.name}_activation", self.activate(layer(h)))
                hidden.append(h)
            else:
                h = layer(h, training=training, **mask(layer, batch))
        logits = self.output_layer(h)
        return logits if self.beta == 1 else self.beta * logits, hidden


def forward(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Logits (n, 10) from images (n, 784), and the activations of all hidden units (n, units)."""
    logits, hidden = model(batch, training=False)
    return {"logits": logits, "hidden": tf.concat(hidden, axis=1)}


def loss(config: Any, model: keras.Model, batch: Batch) -> tf.Tensor:
    """Mean loss over the batch plus penalties."""
    (logits, _), labels = model(batch, training=True), batch["labels"]
    if config.loss == "squared":
        errors = tf.nn.softmax(logits) - tf.one_hot(labels, config.classes, dtype=logits.dtype)
        losses = tf.reduce_sum(tf.square(errors), axis=1)
    else:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    value = tf.reduce_mean(losses)
    if config.l1 or config.l2:
        kernels = [layer.kernel for layer in model.stack if isinstance(layer, keras.layers.Dense)]
        absolute = tf.add_n([tf.reduce_sum(tf.abs(w)) for w in kernels])
        squares = tf.add_n([tf.reduce_sum(tf.square(w)) for w in kernels])
        value += config.l1 * absolute + config.l2 * squares
    return value


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    model = _Perceptron(task.config, state.params)
    return Program(task, state, seed, model, forward, partial(loss, task.config))
