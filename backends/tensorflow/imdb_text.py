"""The models of film reviews in TensorFlow, from Keras layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import tensorflow as tf

import backends.tensorflow
from backends.tensorflow import skipgram
from backends.tensorflow.dropout import Dropout
from backends.tensorflow.engine import Batch, Program
from backends.tensorflow.hidden import after, dense, mask
from backends.tensorflow.skipgram import SkipGram
from backends.tensorflow.taps import tap
from backends.tensorflow.text import BagDense, EmbeddingMax
from tasks.task import State, Task


class _BagOfWords(keras.Model):
    def __init__(self, config: Any):
        super().__init__(name="bag_of_words")  # a class's own name may not begin with _
        self.bag = BagDense(config.words, config.hidden, name="bag")
        self.bag_after = after(config, "bag", config.hidden)
        self.hidden = dense(config.hidden, config.hidden, "hidden")
        self.hidden_after = after(config, "hidden", config.hidden)
        self.output_layer = dense(config.hidden, 1, "output")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Logits (n,)."""
        xla = training and backends.tensorflow.mode == "xla"
        words, reviews, offsets = (batch[name] for name in ("words", "reviews", "offsets"))
        h = tf.nn.relu(self.bag(words, reviews, offsets, batch.get("values"), xla=xla))
        h = tap("bag_activation", h)
        for layer in self.bag_after:
            h = layer(h, training=training, **mask(layer, batch))
        h = tap("hidden_activation", tf.nn.relu(self.hidden(h)))
        for layer in self.hidden_after:
            h = layer(h, training=training, **mask(layer, batch))
        return self.output_layer(h)[:, 0]


class _Embedding(keras.Model):
    def __init__(self, config: Any):
        super().__init__(name="embedding_max")
        self.embedding = EmbeddingMax(config.rows, config.channels, name="embedding")
        # dropping a channel of all words and taking the maximum is the same in either order
        self.dropout = Dropout(config.dropout, "embedding")
        self.hidden = dense(config.channels, config.hidden, "hidden")
        self.output_layer = dense(config.hidden, 1, "output")

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Logits (n,)."""
        h = self.embedding(batch["words"])
        h = self.dropout(h, training=training, **mask(self.dropout, batch))
        h = tap("hidden_activation", tf.nn.relu(self.hidden(h)))
        return self.output_layer(h)[:, 0]


def forward(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Logits (n,) from bags of words, or from words (n, length) for ``embedding``."""
    return {"logits": model(batch, training=False)}


def loss(config: Any, model: keras.Model, batch: Batch) -> tf.Tensor:
    """Mean cross-entropy plus the penalty."""
    logits = model(batch, training=True)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=batch["labels"], logits=logits)
    value = tf.reduce_mean(losses)
    if isinstance(model, _BagOfWords):
        kernels = (model.bag.kernel, model.hidden.kernel)
        if config.l1:
            value += config.l1 * tf.add_n([tf.reduce_sum(tf.abs(k)) for k in kernels])
        if config.l2:
            value += config.l2 * tf.add_n([tf.reduce_sum(tf.square(k)) for k in kernels])
    return value


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    if "context.table" in state.params:
        pairs = SkipGram(task.config)
        return Program(task, state, seed, pairs, skipgram.forward, skipgram.loss)
    embedding = "embedding.kernel" in state.params
    model = _Embedding(task.config) if embedding else _BagOfWords(task.config)
    return Program(task, state, seed, model, forward, partial(loss, task.config))
