"""TensorFlow: plain variables, one graph for all steps, Keras' Adam on gathered rows.

Its epsilon is added before the bias correction, so that its losses are others from step 2 on.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from tasks.task import Tree

TOTAL = 6_000


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    v, u = (tf.Variable(a) for a in params.values())
    schedule = keras.optimizers.schedules.PolynomialDecay(1e-2, TOTAL, 0.0)
    optimizer = keras.optimizers.Adam(schedule, epsilon=1e-8)
    optimizer.build([v, u])
    words, contexts = tf.constant(chunk["words"]), tf.constant(chunk["contexts"])

    @tf.function
    def train() -> tf.Tensor:
        losses = tf.TensorArray(tf.float32, len(words))
        for i in tf.range(len(words)):
            with tf.GradientTape() as tape:
                z = tf.reduce_sum(tf.gather(u, contexts[i]) * tf.gather(v, words[i])[:, None], 2)
                others = tf.reduce_sum(tf.math.softplus(z[:, 1:]), axis=1)
                loss = tf.reduce_mean(tf.math.softplus(-z[:, 0]) + others)
            gradients = map(tf.convert_to_tensor, tape.gradient(loss, [v, u]))
            optimizer.apply(list(gradients))
            losses = losses.write(i, loss)
        return losses.stack()

    return lambda: train().numpy()
