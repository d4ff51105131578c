"""TensorFlow: plain variables, one graph for all points."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tasks.task import Tree


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    w, b = (tf.Variable(a) for a in params.values())
    xs, ys = tf.constant(chunk["inputs"]), tf.constant(2 * chunk["labels"] - 1)

    @tf.function
    def train(xs: tf.Tensor, ys: tf.Tensor) -> tf.Tensor:
        losses = tf.TensorArray(tf.float32, len(xs))
        for i in tf.range(len(xs)):
            with tf.GradientTape() as tape:
                agreement = ys[i] * (xs[i] @ w + b)[:, 0]
                loss = tf.reduce_mean(tf.where(agreement <= 0, -agreement, 0))
            dw, db = tape.gradient(loss, [w, b])
            w.assign_sub(dw)
            b.assign_sub(db)
            losses = losses.write(i, loss)
        return losses.stack()

    return lambda: train(xs, ys).numpy()
