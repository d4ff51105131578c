"""Keras layers on words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class BagDense(keras.layers.Layer):
    """Dense of bags of words: the sum of the kernel's rows that a bag chooses, plus the bias.

    ``kernel`` (words, out), ``bias`` (out,).
    """

    def __init__(self, words: int, out: int, **options: Any):
        super().__init__(**options)
        self.kernel = self.add_weight(shape=(words, out), name="kernel")
        self.bias = self.add_weight(shape=(out,), name="bias")

    def call(
        self,
        words: tf.Tensor,
        bags: tf.Tensor,
        offsets: tf.Tensor,
        values: tf.Tensor | None = None,
        xla: bool = False,
    ) -> tf.Tensor:
        """(n, out) from ``words`` (any,), the bag of each, ascending, and ``offsets`` (n + 1,).

        A word counts as much as its entry of ``values`` (any,), or 1. Behind ``offsets[-1]`` is
        padding, whose bag is n.
        """
        kernel, count = tf.convert_to_tensor(self.kernel), offsets.shape[0] - 1
        if xla:  # which needs shapes that do not depend on the words, and has no sparse operations
            rows = tf.gather(kernel, words)
            rows = rows if values is None else rows * values[:, None]
            sums = tf.math.unsorted_segment_sum(rows, bags, count + 1)[:count]
        else:
            total = offsets[-1]
            weights = tf.ones(total, kernel.dtype) if values is None else values[:total]
            sums = bag_sum(kernel, words[:total], bags[:total], weights, count)
        return sums + self.bias


@tf.custom_gradient
def bag_sum(
    w: tf.Tensor, words: tf.Tensor, bags: tf.Tensor, values: tf.Tensor, count: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
    """y = x w, dw = x^T dy for ``count`` bags of words x, each of which has a value.

    TensorFlow's fastest kernel for either direction: a sum by segments took twice as long forwards,
    six to ten times as long backwards.
    """
    # (bag, word) for every word, 32 bits each, as the halves of a number: tf.stack took five times
    # as long, longer than the product
    pairs = tf.cast(bags, tf.int64) + tf.cast(words, tf.int64) * 2**32
    x = {
        "a_indices": tf.bitcast(pairs, tf.int32),
        "a_values": values,
        "a_shape": tf.cast(tf.stack([count, tf.shape(w)[0]]), tf.int64),
    }

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        dw = tf.raw_ops.SparseTensorDenseMatMul(**x, b=dy, adjoint_a=True)
        return dw, None, None, None, None

    return tf.raw_ops.SparseTensorDenseMatMul(**x, b=w), gradient


class EmbeddingMax(keras.layers.Layer):
    """The maximum over a text's words of the rows that they choose; ``kernel`` (rows, channels)."""

    def __init__(self, rows: int, channels: int, **options: Any):
        super().__init__(**options)
        self.kernel = self.add_weight(shape=(rows, channels), name="kernel")

    def call(self, words: tf.Tensor) -> tf.Tensor:
        """(n, channels) from ``words`` (n, length)."""
        return embedding_max(tf.convert_to_tensor(self.kernel), words)


@tf.custom_gradient
def embedding_max(
    w: tf.Tensor, words: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
    """y[i, c] = max over j of w[words[i, j], c], whose gradient goes to the winning words alone."""
    by_place = tf.transpose(words)  # (length, n): the maximum then runs over whole rows
    rows = tf.gather(w, by_place)  # (length, n, channels)
    y = tf.reduce_max(rows, axis=0)

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        # of equal words, any: as floating point, in which multiplying and comparing is fastest
        numbers = tf.cast(by_place, w.dtype)[:, :, None]
        winners = tf.cast(tf.reduce_max(tf.cast(rows == y, w.dtype) * numbers, axis=0), tf.int32)
        # as a sum by segments of the flat table, which takes half the time of scatter_nd
        entries = winners * w.shape[1] + tf.range(w.shape[1])
        flat = tf.math.unsorted_segment_sum(dy, entries, w.shape.num_elements())
        return tf.reshape(flat, w.shape), None

    return y, gradient


@tf.custom_gradient
def pair_logits(
    v: tf.Tensor, u: tf.Tensor, words: tf.Tensor, contexts: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
    """z[i, j] = v[words[i]] . u[contexts[i, j]], for tables v and u (rows, channels).

    With words (n,) and contexts (n, m); z (n, m). The gradients are products with the sparse matrix
    that has dz[i, j] in row i where contexts[i, j] is its column. TensorFlow's own, sums of
    rows by segments, took twice as long.
    """
    chosen = tf.gather(v, words)

    def gradient(dz: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        n, m = contexts.shape
        pairs = tf.repeat(tf.range(n, dtype=contexts.dtype), m)

        def product(b: tf.Tensor, adjoint: bool) -> tf.Tensor:
            return tf.raw_ops.SparseTensorDenseMatMul(
                a_indices=tf.cast(tf.stack([pairs, tf.reshape(contexts, [-1])], 1), tf.int64),
                a_values=tf.reshape(dz, [-1]),
                a_shape=tf.constant([n, u.shape[0]], tf.int64),
                b=b,
                adjoint_a=adjoint,
            )

        dv = tf.math.unsorted_segment_sum(product(u, adjoint=False), words, tf.shape(v)[0])
        return dv, product(chosen, adjoint=True), None, None

    return tf.reduce_sum(tf.gather(u, contexts) * chosen[:, None], axis=2), gradient
