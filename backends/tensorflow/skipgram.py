"""Skip-gram with negative sampling in TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

import backends.tensorflow
from backends.tensorflow.engine import Batch
from backends.tensorflow.taps import tap
from backends.tensorflow.text import pair_logits


class SkipGram(keras.Model):
    """Tables of the vectors of words and of neighbours."""

    def __init__(self, config: Any):
        super().__init__(name="skip_gram")
        self.embedding = keras.layers.Embedding(config.rows, config.channels, name="embedding")
        self.context = keras.layers.Embedding(config.rows, config.channels, name="context")
        for layer in (self.embedding, self.context):
            layer.build()

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Logits (n, 1 + negatives) of pairs."""
        words, contexts = batch["words"], batch["contexts"]
        if backends.tensorflow.mode == "xla":  # which has no sparse products
            z = tf.reduce_sum(self.context(contexts) * self.embedding(words)[:, None], axis=2)
        else:
            tables = (layer.embeddings.value for layer in (self.embedding, self.context))
            z = pair_logits(*map(tf.convert_to_tensor, tables), words, contexts)
        return tap("logits", z)


def forward(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Logits, and the vectors (n, channels) of the pairs' words."""
    return {"logits": model(batch), "vectors": model.embedding(batch["words"])}


def loss(model: keras.Model, batch: Batch) -> tf.Tensor:
    """The mean loss of a pair."""
    z = model(batch, training=True)
    others = tf.reduce_sum(tf.math.softplus(z[:, 1:]), axis=1)
    return tf.reduce_mean(tf.math.softplus(-z[:, 0]) + others)
