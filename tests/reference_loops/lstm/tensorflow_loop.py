"""TensorFlow: plain variables, one graph for all steps, the recurrence with its own gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tasks.task import Tree

LR, BETA1, BETA2, EPS, CLIP = 1e-2, 0.9, 0.999, 1e-8, 1.0
sigmoid_grad, tanh_grad = tf.raw_ops.SigmoidGrad, tf.raw_ops.TanhGrad


def recurrence(table: tf.Tensor, w: tf.Tensor, ids: tf.Tensor, h: Any, c: Any) -> Any:
    """All hidden states (T n, H) and the last cell state, unrolled."""

    @tf.custom_gradient
    def unrolled(table: tf.Tensor, w: tf.Tensor) -> Any:
        hs, cs, saved = [h], [c], []
        for x in tf.unstack(tf.gather(table, ids)):
            i, f, g, o = tf.split(x + hs[-1] @ w, 4, axis=1)
            i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
            cs.append(f * cs[-1] + i * g)
            saved.append((i, f, g, o, tf.tanh(cs[-1])))
            hs.append(o * saved[-1][-1])

        def back(dhs: tf.Tensor, dc: tf.Tensor) -> Any:
            dh, das = 0.0, []
            parts = zip(tf.split(dhs, len(saved)), saved, cs[:-1], strict=True)
            for d, (i, f, g, o, t), before in reversed(list(parts)):
                dh = dh + d
                dc = dc + tanh_grad(y=t, dy=dh * o)
                di, df = sigmoid_grad(y=i, dy=dc * g), sigmoid_grad(y=f, dy=dc * before)
                dg, do = tanh_grad(y=g, dy=dc * i), sigmoid_grad(y=o, dy=dh * t)
                das.append(tf.concat([di, df, dg, do], axis=1))
                dh, dc = tf.matmul(das[-1], w, transpose_b=True), dc * f
            da = tf.concat(das[::-1], axis=0)
            dtable = tf.math.unsorted_segment_sum(da, tf.reshape(ids, [-1]), table.shape[0])
            return dtable, tf.matmul(tf.concat(hs[:-1], axis=0), da, transpose_a=True)

        return (tf.concat(hs[1:], axis=0), cs[-1]), back

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
        h = c = tf.zeros((streams, 256))
        for step in tf.range(len(xs)):
            with tf.GradientTape() as tape:
                e, wx, wh, b, wo, bo = map(tf.convert_to_tensor, weights)
                hs, c = recurrence(e @ wx + b, wh, xs[step], h, c)
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
