"""Siamese and triplet networks for one-shot recognition in TensorFlow, from Keras layers, and
fine-tuning above them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import backends.tensorflow
from backends.tensorflow.engine import Batch, Program
from backends.tensorflow.taps import tap
from tasks.task import Array, State, Task

SMALLEST_SQUARE = 1e-24
"""Square of the least number that embeddings are divided by: 1e-12, if their length is less."""


class _Heads(keras.layers.Layer):
    """A linear layer for every episode: ``kernels`` (episodes, embedding, ways), ``biases``."""

    def __init__(self, config: Any):
        super().__init__(name="head")
        episodes, ways = config.episodes, config.ways
        self.kernels = self.add_weight(shape=(episodes, config.embedding, ways), name="kernels")
        self.biases = self.add_weight(shape=(episodes, ways), name="biases")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Logits (episodes, pictures, ways) from x (episodes, pictures, embedding)."""
        return _products(x, tf.convert_to_tensor(self.kernels)) + self.biases[:, None]

    def of_all(self, x: tf.Tensor) -> tf.Tensor:
        """Logits (n, episodes, ways) in all episodes from x (n, embedding)."""
        every = tf.reshape(tf.transpose(self.kernels, (1, 0, 2)), (x.shape[1], -1))
        return tf.reshape(tf.matmul(x, every), (-1, *self.biases.shape)) + self.biases


@tf.custom_gradient
def _products(
    x: tf.Tensor, w: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """x w for every episode, x (episodes, pictures, in), w (episodes, in, ways).

    TensorFlow's own gradient of w, a product whose last axis are the few ways, took 2.5 times as
    long as that of the transposed factors.
    """

    def gradient(dz: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        dw = tf.transpose(tf.matmul(dz, x, transpose_a=True), (0, 2, 1))
        return tf.matmul(dz, w, transpose_b=True), dw

    return tf.matmul(x, w), gradient


class _Embedder(keras.Model):
    """Pictures (n, side, side) on the unit sphere (n, embedding)."""

    def __init__(self, config: Any, variant: str | None):
        super().__init__(name="embedder")
        self.picture = keras.layers.Reshape((config.side, config.side, 1))
        # "same" would pad the right and lower sides alone
        self.padding = keras.layers.ZeroPadding2D(1)
        self.convolutions = [
            keras.layers.Conv2D(channels, 3, strides=2, activation="relu", name=f"conv{number}")
            for number, channels in enumerate(config.channels, start=1)
        ]
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(config.embedding, name="dense")
        if variant == "finetune":
            self.head = _Heads(config)
        if variant == "siamese":
            self.similarity = keras.layers.Dense(1, name="similarity")
            self.similarity.build((None, config.embedding))
        self(keras.ops.zeros((1, config.side, config.side)))  # makes the other weights

    def call(self, images: tf.Tensor, xla: bool = False) -> tf.Tensor:
        h = self.picture(images)
        for convolution in self.convolutions:
            h = _as_product(convolution, h) if xla else convolution(self.padding(h))
        h = self.dense(self.flatten(h))
        return tap("embeddings", tf.math.l2_normalize(h, axis=1, epsilon=SMALLEST_SQUARE))


def _as_product(layer: keras.layers.Conv2D, x: tf.Tensor) -> tf.Tensor:
    """Padding and ``layer`` of x (n, side, side, c): one product of all windows with the kernel.

    Inside a loop XLA's convolution takes many times as long on the CPU.
    """
    n, side, _, _ = x.shape
    m = -(-side // 2)
    x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    taps = [x[:, r : r + 2 * m - 1 : 2, s : s + 2 * m - 1 : 2] for r, s in np.ndindex(3, 3)]
    windows = tf.reshape(tf.concat(taps, axis=-1), (n * m * m, -1))
    kernel = tf.reshape(layer.kernel, (windows.shape[-1], -1))
    y = tf.nn.relu(tf.matmul(windows, kernel) + layer.bias)
    return tf.reshape(y, (n, m, m, -1))


def forward(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Embeddings (n, embedding) of images (n, side, side), and the head's kernel for each, or their
    logits (n, episodes, ways) in all episodes."""
    embeddings = model(batch["images"])
    outputs = {"embeddings": embeddings}
    if hasattr(model, "head"):
        outputs["logits"] = model.head.of_all(embeddings)
    if hasattr(model, "similarity"):
        kernel = tf.transpose(model.similarity.kernel)
        outputs["kernel"] = tf.broadcast_to(kernel, tf.shape(embeddings))
    return outputs


def loss(config: Any, model: keras.Model, batch: Batch) -> tf.Tensor:
    """Cross-entropy of the batch's ``pairs``, each group half; of its ``places``, see the function
    for that; without, the loss of triplets."""
    if "places" in batch:
        return _finetune(config, model.head, batch)
    embeddings = model(batch["images"], xla=backends.tensorflow.mode == "xla")
    if "pairs" not in batch:
        return _triplet_loss(embeddings, config.per_class, config.margin)
    first, second = tf.unstack(batch["pairs"], axis=1)
    difference = tf.gather(embeddings, first) - tf.gather(embeddings, second)
    logits = model.similarity(tap("difference", tf.abs(difference)))[:, 0]
    same = embeddings.shape[0] * (config.per_class - 1) // 2
    alike = tf.reduce_mean(tf.nn.softplus(-logits[:same]))
    return (alike + tf.reduce_mean(tf.nn.softplus(logits[same:]))) / 2


def _triplet_loss(embeddings: tf.Tensor, k: int, margin: float) -> tf.Tensor:
    """The mean over the active triplets, from embeddings (n, channels) of length 1, k a class."""
    n, channels = embeddings.shape
    by_class = tf.reshape(embeddings, (n // k, k, channels))
    near = 2 - 2 * tf.matmul(by_class, by_class, transpose_b=True)  # (classes, anchor, positive)
    far = 2 - 2 * tf.matmul(embeddings, embeddings, transpose_b=True)
    far = tf.reshape(far, (n // k, k, 1, n))
    offsets = tf.constant(_offsets(n, k, margin), embeddings.dtype)
    hinge = tf.nn.relu(near[..., None] - far + offsets)  # (classes, anchor, positive, negative)
    active = tf.math.count_nonzero(hinge, dtype=hinge.dtype)
    return tf.reduce_sum(hinge) / tf.maximum(active, 1)


def _offsets(n: int, k: int, margin: float) -> Array:
    """(n / k, k, k, n): the margin for a triplet, minus infinity for what is none."""
    other = np.arange(n) // k != np.arange(n // k)[:, None]  # (classes, negative)
    valid = other[:, None, None, :] & ~np.eye(k, dtype=bool)[:, :, None]
    return np.where(valid, margin, -np.inf)


def _finetune(config: Any, heads: keras.layers.Layer, batch: Batch) -> tf.Tensor:
    """Cross-entropy of the known pictures plus ``config.entropy`` times the entropy of the others,
    means over all episodes."""
    z = heads(tf.gather(batch["embeddings"], batch["places"]))  # (episodes, pictures, ways)
    known = config.ways * config.shots
    labels = tf.tile(np.arange(config.ways).repeat(config.shots)[None], (config.episodes, 1))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=z[:, :known])
    log_p = tf.nn.log_softmax(z[:, known:])
    entropy = -tf.reduce_mean(tf.reduce_sum(tf.exp(log_p) * log_p, axis=2))
    return tf.reduce_mean(losses) + config.entropy * entropy


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    model = _Embedder(task.config, task.variant)
    return Program(task, state, seed, model, forward, partial(loss, task.config))
