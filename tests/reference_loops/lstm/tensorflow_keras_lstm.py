"""Keras layers with their automatic gradients in one graph: what is idiomatic, for orientation."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from tasks.task import Tree


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    embedding, output = keras.layers.Embedding(65, 64), keras.layers.Dense(65)
    lstm = keras.layers.LSTM(256, return_sequences=True, return_state=True)
    optimizer = keras.optimizers.Adam(1e-2, 0.9, 0.999, epsilon=1e-8, global_clipnorm=1.0)
    xs, ys = tf.constant(chunk["inputs"]), tf.constant(chunk["targets"])
    zero = tf.zeros((xs.shape[1], 256))
    model = keras.Sequential([embedding, lstm, keras.layers.Lambda(lambda y: y[0]), output])
    model.build((xs.shape[1], xs.shape[2]))
    model.set_weights(list(params.values()))
    weights = [w.value for w in model.trainable_variables]
    optimizer.build(model.trainable_variables)

    @tf.function
    def train(xs: tf.Tensor, ys: tf.Tensor) -> tf.Tensor:
        losses = tf.TensorArray(tf.float32, len(xs))
        h = c = zero
        for step in tf.range(len(xs)):
            with tf.GradientTape() as tape:
                hs, h, c = lstm(embedding(xs[step]), initial_state=[h, c])
                loss = tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(
                        labels=ys[step], logits=output(hs)
                    )
                )
            optimizer.apply(tape.gradient(loss, weights), model.trainable_variables)
            losses = losses.write(step, loss)
        return losses.stack()

    return lambda: train(xs, ys).numpy()
