"""TensorFlow: plain variables, one graph for all steps, the fused kernel of Adam."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from tasks.task import Array

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


def prepare(chunk: Mapping[str, Array], params: Mapping[str, Array]) -> Callable[[], object]:
    weights = [tf.Variable(a) for a in params.values()]
    ms = [tf.Variable(tf.zeros_like(w)) for w in weights]
    vs = [tf.Variable(tf.zeros_like(w)) for w in weights]
    powers = [tf.Variable(1.0), tf.Variable(1.0)]  # beta1^t, beta2^t
    batches = [tf.constant(chunk[name]) for name in ("inputs", "centres", "penalty")]

    @tf.function
    def train(xs: tf.Tensor, cs: tf.Tensor, penalties: tf.Tensor) -> tf.Tensor:
        w1, b1, w2, b2, w3, b3, w4, b4 = weights
        losses = tf.TensorArray(tf.float32, len(xs))
        for i in tf.range(len(xs)):
            x = xs[i]
            with tf.GradientTape() as tape:
                a = tf.nn.relu(x @ w1 + b1) @ w2 + b2
                z = tf.math.l2_normalize(a, axis=1) * 10**0.5
                y = tf.nn.relu(z @ w3 + b3) @ w4 + b4
                away = penalties[i] * tf.reduce_sum(tf.square(z - cs[i]))
                loss = (tf.reduce_sum(tf.square(y - x)) + away) / x.shape[0]
            gradients = tape.gradient(loss, weights)
            powers[0].assign(powers[0] * BETA1)
            powers[1].assign(powers[1] * BETA2)
            for w, m, v, g in zip(weights, ms, vs, gradients, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    var=w.handle,
                    m=m.handle,
                    v=v.handle,
                    beta1_power=powers[0],
                    beta2_power=powers[1],
                    lr=LR,
                    beta1=BETA1,
                    beta2=BETA2,
                    epsilon=EPS,
                    grad=g,
                )
            losses = losses.write(i, loss)
        return losses.stack()

    return lambda: train(*batches).numpy()
