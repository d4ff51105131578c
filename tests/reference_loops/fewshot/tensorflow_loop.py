"""TensorFlow: plain variables, one graph for all steps, the fused kernel of Adam."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from tasks.task import Array

LR, BETA1, BETA2, EPS = 2e-3, 0.9, 0.999, 1e-8
SAME = 96
BORDER = ((0, 0), (1, 1), (1, 1), (0, 0))


def prepare(chunk: Mapping[str, Array], params: Mapping[str, Array]) -> Callable[[], object]:
    weights = [tf.Variable(a) for a in params.values()]
    ms = [tf.Variable(tf.zeros_like(w)) for w in weights]
    vs = [tf.Variable(tf.zeros_like(w)) for w in weights]
    powers = [tf.Variable(1.0), tf.Variable(1.0)]  # beta1^t, beta2^t
    batches = [tf.constant(chunk[name]) for name in ("images", "pairs")]

    def value(images: tf.Tensor, pairs: tf.Tensor) -> tf.Tensor:
        *convolutions, w, b, w_head, b_head = weights
        h = images[..., None]
        for kernel, bias in zip(convolutions[::2], convolutions[1::2], strict=True):
            h = tf.nn.conv2d(tf.pad(h, BORDER), kernel, strides=2, padding="VALID")
            h = tf.nn.relu(tf.nn.bias_add(h, bias))
        e = tf.math.l2_normalize(tf.reshape(h, (64, 256)) @ w + b, axis=1)
        d = tf.abs(tf.gather(e, pairs[:, 0]) - tf.gather(e, pairs[:, 1]))
        z = (d @ w_head + b_head)[:, 0]
        same, different = tf.nn.softplus(-z[:SAME]), tf.nn.softplus(z[SAME:])
        return (tf.reduce_mean(same) + tf.reduce_mean(different)) / 2

    @tf.function
    def train(xs: tf.Tensor, pairs: tf.Tensor) -> tf.Tensor:
        losses = tf.TensorArray(tf.float32, len(xs))
        for i in tf.range(len(xs)):
            with tf.GradientTape() as tape:
                loss = value(xs[i], pairs[i])
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
