"""A plain recurrent layer unrolled into the graph, with a backward pass of its own, as the LSTM."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

import backends.tensorflow

Backward = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
_tanh_slope = tf.raw_ops.TanhGrad


class RNN(keras.layers.Layer):
    """Weights ``kernel`` (in, H), ``recurrent`` (H, H) and ``bias`` (H,)."""

    def __init__(self, inputs: int, units: int, name: str):
        super().__init__(name=name)
        self.kernel = self.add_weight(shape=(inputs, units), name="kernel")
        self.recurrent = self.add_weight(shape=(units, units), name="recurrent")
        self.bias = self.add_weight(shape=(units,), name="bias")

    def input_table(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Contribution of each row of ``embeddings`` (rows, in), (rows, H)."""
        return tf.matmul(embeddings, self.kernel.value) + self.bias.value

    def step(self, x: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
        """The state (n, H) after ``h``, with what the input adds x (n, H)."""
        return step(x, tf.convert_to_tensor(self.recurrent.value), h)


def step(x: tf.Tensor, w: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
    """h' = tanh(x + h w), (n, H), with the recurrent kernel w (H, H).

    (Elman, "Finding structure in time", 1990.)
    """
    return tf.tanh(x + tf.matmul(h, w))


def rnn(table: tf.Tensor, ids: tf.Tensor, w: tf.Tensor, h0: tf.Tensor) -> tf.Tensor:
    """Hidden states (T n, H), step by step.

    The inputs are the rows ``ids`` (T, n) of ``table`` (rows, H). Nothing flows back into the
    state h0 (n, H) before: truncated back-propagation ends there.
    """
    run = _scanned if backends.tensorflow.mode == "xla" else _unrolled

    @tf.custom_gradient
    def layer(table: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, Backward]:
        h, slopes = run(tf.gather(table, ids), w, h0)

        def backward(dh: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            da = slopes(dh)
            before = tf.concat([h0, h[: -h0.shape[0]]], axis=0)  # (T n, H)
            rows = tf.math.unsorted_segment_sum(da, tf.reshape(ids, [-1]), table.shape[0])
            return rows, tf.matmul(before, da, transpose_a=True)

        return h, backward

    return layer(table, w)


Run = tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]
"""Hidden states (T n, H), and what makes of their gradient that before tanh, both (T n, H)."""


def _unrolled(x: tf.Tensor, w: tf.Tensor, h0: tf.Tensor) -> Run:
    h = [h0]
    for x_t in tf.unstack(x):
        h.append(step(x_t, w, h[-1]))

    def slopes(dh_all: tf.Tensor) -> tf.Tensor:
        da: list[tf.Tensor] = []
        for h_t, dh in zip(h[:0:-1], tf.split(dh_all, len(h) - 1)[::-1], strict=True):
            if da:
                dh += tf.matmul(da[-1], w, transpose_b=True)
            da.append(_tanh_slope(y=h_t, dy=dh))
        return tf.concat(da[::-1], axis=0)

    return tf.concat(h[1:], axis=0), slopes


def _scanned(x: tf.Tensor, w: tf.Tensor, h0: tf.Tensor) -> Run:
    """As loops: unrolled, XLA computes much of it again and again."""
    h = tf.scan(lambda h, x_t: step(x_t, w, h), x, h0)

    def before(da: tf.Tensor, here: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        h_t, dh = here
        return _tanh_slope(y=h_t, dy=dh + tf.matmul(da, w, transpose_b=True))

    def slopes(dh_all: tf.Tensor) -> tf.Tensor:
        saved = h, tf.reshape(dh_all, h.shape)
        da = tf.scan(before, saved, tf.zeros_like(h0), reverse=True)
        return tf.reshape(da, dh_all.shape)

    return tf.reshape(h, (-1, h0.shape[1])), slopes
