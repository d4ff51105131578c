"""An LSTM layer unrolled into the graph, with a backward pass of its own.

Of 2,048 characters a step on one thread, Keras' LSTM trains 39,000 a second, the loop below with
automatic gradients 44,000, with its own 52,000: one product over all steps for the kernel's
gradient, and the fused slopes of sigmoid and tanh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

import backends.tensorflow

Backward = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
Gates = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
_sigmoid_slope, _tanh_slope = tf.raw_ops.SigmoidGrad, tf.raw_ops.TanhGrad


class LSTM(keras.layers.Layer):
    """Weights ``kernel`` (in, 4H), ``recurrent`` (H, 4H) and ``bias`` (4H,): gates i, f, g, o."""

    def __init__(self, inputs: int, units: int, name: str):
        super().__init__(name=name)
        self.kernel = self.add_weight(shape=(inputs, 4 * units), name="kernel")
        self.recurrent = self.add_weight(shape=(units, 4 * units), name="recurrent")
        self.bias = self.add_weight(shape=(4 * units,), name="bias")

    def input_table(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Contribution of each row of ``embeddings`` (rows, in) to the gates, (rows, 4H)."""
        return tf.matmul(embeddings, self.kernel.value) + self.bias.value

    def step(self, x: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The state (n, H) after ``h`` and ``c``, with what the input adds x (n, 4H)."""
        h, c, _, _ = step(x, tf.convert_to_tensor(self.recurrent.value), h, c)
        return h, c


def step(
    x: tf.Tensor, w: tf.Tensor, h: tf.Tensor, c: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Gates]:
    """The state (n, H) after ``h`` and ``c``, tanh(c') and the gates i, f, g, o (n, H).

    a = x + h w, with what the input adds x (n, 4H) and the recurrent kernel w (H, 4H);
    i, f, o = sigmoid(a^{i,f,o}), g = tanh(a^g);  c' = f c + i g;  h' = o tanh(c')
    (Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000).
    """
    i, f, g, o = tf.split(x + tf.matmul(h, w), 4, axis=-1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    c = f * c + i * g
    tanh_c = tf.tanh(c)
    return o * tanh_c, c, tanh_c, (i, f, g, o)


def lstm(
    table: tf.Tensor, ids: tf.Tensor, w: tf.Tensor, h0: tf.Tensor, c0: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Hidden states (T n, H), step by step, and the last cell state (n, H).

    The inputs are the rows ``ids`` (T, n) of ``table`` (rows, 4H). Nothing flows back into the
    state h0, c0 (n, H) before: truncated back-propagation ends there.
    """

    if backends.tensorflow.mode == "xla":
        return _scanned(table, ids, w, h0, c0)

    @tf.custom_gradient
    def run(table: tf.Tensor, w: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Backward]:
        h, c = [h0], [c0]
        tanh_c, gates = [], []
        for x in tf.unstack(tf.gather(table, ids)):
            h_t, c_t, tanh_c_t, gates_t = step(x, w, h[-1], c[-1])
            h.append(h_t)
            c.append(c_t)
            tanh_c.append(tanh_c_t)
            gates.append(gates_t)

        def backward(dh: tf.Tensor, dc: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            da = _backward(tf.split(dh, len(gates)), dc, w, c, tanh_c, gates)
            before = tf.concat(h[:-1], axis=0)  # (T n, H)
            rows = tf.math.unsorted_segment_sum(da, tf.reshape(ids, [-1]), table.shape[0])
            return rows, tf.matmul(before, da, transpose_a=True)

        return (tf.concat(h[1:], axis=0), c[-1]), backward

    states, last = run(table, w)
    return states, last


def _scanned(
    table: tf.Tensor, ids: tf.Tensor, w: tf.Tensor, h0: tf.Tensor, c0: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """``lstm`` as loops: unrolled, XLA computes much of it again and again."""

    def forward(carry: tuple[tf.Tensor, ...], x: tf.Tensor) -> tuple[tf.Tensor, ...]:
        h, c, tanh_c, gates = step(x, w, *carry[:2])
        return h, c, tanh_c, *gates

    def backward(
        carry: tuple[tf.Tensor, ...], saved: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, ...]:
        dh, dc = carry[:2]
        dh_t, c_before, tanh_c, i, f, g, o = saved
        da, dc = _gates_backward(dh + dh_t, dc, c_before, tanh_c, (i, f, g, o))
        return tf.matmul(da, w, transpose_b=True), dc, da

    @tf.custom_gradient
    def run(table: tf.Tensor, w: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Backward]:
        zeros = tf.zeros_like(h0)
        found = tf.scan(forward, tf.gather(table, ids), (h0, c0, *[zeros] * 5))
        h, c, *rest = found

        def gradient(dh: tf.Tensor, dc: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            h_before, c_before = (
                tf.concat([first[None], all_[:-1]], axis=0) for first, all_ in ((h0, h), (c0, c))
            )
            start = zeros, dc, tf.zeros((*h0.shape[:1], w.shape[1]), w.dtype)
            saved = (tf.reshape(dh, h.shape), c_before, *rest)
            da = tf.reshape(tf.scan(backward, saved, start, reverse=True)[2], (-1, w.shape[1]))
            rows = tf.math.unsorted_segment_sum(da, tf.reshape(ids, [-1]), table.shape[0])
            return rows, tf.matmul(tf.reshape(h_before, (-1, h0.shape[1])), da, transpose_a=True)

        return (tf.reshape(h, (-1, h0.shape[1])), c[-1]), gradient

    states, last = run(table, w)
    return states, last


def _gates_backward(
    dh: tf.Tensor, dc: tf.Tensor, c_before: tf.Tensor, tanh_c: tf.Tensor, gates: Gates
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients of the gates before their activation (n, 4H) and of the cell before (n, H)."""
    i, f, g, o = gates
    dc = dc + _tanh_slope(y=tanh_c, dy=dh * o)
    da = tf.concat(
        [
            _sigmoid_slope(y=i, dy=dc * g),
            _sigmoid_slope(y=f, dy=dc * c_before),
            _tanh_slope(y=g, dy=dc * i),
            _sigmoid_slope(y=o, dy=dh * tanh_c),
        ],
        axis=-1,
    )
    return da, dc * f


def _backward(
    dh_all: Sequence[tf.Tensor],
    dc: tf.Tensor,
    w: tf.Tensor,
    c: Sequence[tf.Tensor],
    tanh_c: Sequence[tf.Tensor],
    gates: Sequence[Gates],
) -> tf.Tensor:
    """The gradient of the gates before their activation, (T n, 4H)."""
    dh = tf.zeros_like(dc)
    found: list[tf.Tensor] = []
    for t in reversed(range(len(gates))):
        da, dc = _gates_backward(dh + dh_all[t], dc, c[t], tanh_c[t], gates[t])
        found.append(da)
        dh = tf.matmul(da, w, transpose_b=True)
    return tf.concat(found[::-1], axis=0)
