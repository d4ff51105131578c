"""TensorFlow: plain variables, one graph for all steps, the gradient of the maximum by hand."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tasks.task import Tree

LR, BETA1, BETA2, EPS, RATE = 1e-3, 0.9, 0.999, 1e-7, 0.1


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [tf.Variable(a) for a in params.values()]
    table, *others = weights
    moments = [(tf.Variable(tf.zeros_like(w)), tf.Variable(tf.zeros_like(w))) for w in weights]
    powers = tf.Variable(BETA1), tf.Variable(BETA2)
    words, labels = tf.constant(chunk["words"]), tf.constant(chunk["labels"])
    shape = table.shape

    def gradient_of(rows: tf.Tensor, y: tf.Tensor, places: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        numbers = tf.cast(places, tf.float32)[:, :, None]
        winners = tf.reduce_max(tf.cast(rows == y, tf.float32) * numbers, axis=0)
        columns = tf.broadcast_to(tf.range(shape[1]), tf.shape(winners))
        places = tf.stack([tf.cast(winners, tf.int32), columns], axis=-1)
        return tf.scatter_nd(places, dy, shape)

    @tf.function
    def train() -> tf.Tensor:
        w1, b1, w2, b2 = others
        losses = tf.TensorArray(tf.float32, len(labels))
        for i in tf.range(len(labels)):
            places = tf.transpose(words[i])
            rows = tf.gather(table, places)
            y = tf.reduce_max(rows, axis=0)
            with tf.GradientTape() as tape:
                tape.watch(y)
                z = (tf.nn.relu(tf.nn.dropout(y, RATE) @ w1 + b1) @ w2 + b2)[:, 0]
                loss = tf.reduce_mean(
                    tf.nn.sigmoid_cross_entropy_with_logits(labels=labels[i], logits=z)
                )
            dy, *gradients = tape.gradient(loss, [y, *others])
            gradients = [gradient_of(rows, y, places, dy), *gradients]
            for w, (m, v), g in zip(weights, moments, gradients, strict=True):
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
            powers[0].assign(powers[0] * BETA1)
            powers[1].assign(powers[1] * BETA2)
            losses = losses.write(i, loss)
        return losses.stack()

    return lambda: train().numpy()
