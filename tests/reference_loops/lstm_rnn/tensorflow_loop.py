"""TensorFlow: plain variables, one graph for all steps, the recurrence with its own gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tasks.task import Tree
from tests.reference_loops.lstm.tensorflow_loop import BETA1, BETA2, CLIP, EPS, LR, tanh_grad


def recurrence(table: tf.Tensor, w: tf.Tensor, ids: tf.Tensor, h: Any) -> Any:
    """All hidden states (T n, H), unrolled."""

    @tf.custom_gradient
    def unrolled(table: tf.Tensor, w: tf.Tensor) -> Any:
        hs = [h]
        for x in tf.unstack(tf.gather(table, ids)):
            hs.append(tf.tanh(x + hs[-1] @ w))

        def back(dhs: tf.Tensor) -> Any:
            dh, das = 0.0, []
            for d, after in zip(tf.split(dhs, len(hs) - 1)[::-1], hs[:0:-1], strict=True):
                das.append(tanh_grad(y=after, dy=dh + d))
                dh = tf.matmul(das[-1], w, transpose_b=True)
            da = tf.concat(das[::-1], axis=0)
            dtable = tf.math.unsorted_segment_sum(da, tf.reshape(ids, [-1]), table.shape[0])
            return dtable, tf.matmul(tf.concat(hs[:-1], axis=0), da, transpose_a=True)

        return tf.concat(hs[1:], axis=0), back

    return unrolled(table, w)


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [tf.Variable(a) for a in params.values()]
    m, v = ([tf.Variable(tf.zeros_like(w)) for w in weights] for _ in range(2))
    power1, power2 = tf.Variable(1.0), tf.Variable(1.0)
    xs = tf.constant(chunk["inputs"].transpose(0, 2, 1).copy())
    ys = tf.constant(chunk["targets"].transpose(0, 2, 1).reshape(len(xs), -1))
    streams = xs.shape[2]

    @tf.function
    def train(xs: tf.Tensor, ys: tf.Tensor) -> tf.Tensor:
        losses = tf.TensorArray(tf.float32, len(xs))
        h = tf.zeros((streams, 256))
        for step in tf.range(len(xs)):
            with tf.GradientTape() as tape:
                e, wx, wh, b, wo, bo = map(tf.convert_to_tensor, weights)
                hs = recurrence(e @ wx + b, wh, xs[step], h)
                loss = tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(
                        labels=ys[step], logits=hs @ wo + bo
                    )
                )
            h = hs[-streams:]
            power1.assign(power1 * BETA1)
            power2.assign(power2 * BETA2)
            epsilon = EPS * tf.sqrt(1 - power2)  # the kernel adds it before the correction
            gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), CLIP)
            for w, mean, square, g in zip(weights, m, v, gradients, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    **{"var": w.handle, "m": mean.handle, "v": square.handle, "grad": g},
                    **{"beta1_power": power1, "beta2_power": power2, "lr": LR},
                    **{"beta1": BETA1, "beta2": BETA2, "epsilon": epsilon},
                )
            losses = losses.write(step, loss)
        return losses.stack()

    return lambda: train(xs, ys).numpy()
