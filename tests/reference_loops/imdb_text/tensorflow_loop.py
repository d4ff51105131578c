"""TensorFlow: plain variables, one graph for all steps, sparse products both ways."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tasks.task import Tree

LR, RHO, EPS = 1e-3, 0.9, 1e-7


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = [tf.Variable(a) for a in params.values()]
    averages = [tf.Variable(tf.zeros_like(w)) for w in weights]
    momenta = [tf.Variable(tf.zeros_like(w)) for w in weights]
    counts = tf.constant(chunk["offsets"][:, -1])
    words, reviews = tf.constant(chunk["words"]), tf.constant(chunk["reviews"])
    labels = tf.constant(chunk["labels"])
    shape = (labels.shape[1], len(params["bag.kernel"]))
    ones = tf.ones(words.shape[1])

    @tf.function
    def train() -> tf.Tensor:
        w1, b1, w2, b2, w3, b3 = weights
        losses = tf.TensorArray(tf.float32, len(labels))
        for i in tf.range(len(labels)):
            n = counts[i]
            summed = tf.raw_ops.SparseSegmentSumWithNumSegments(
                data=w1, indices=words[i][:n], segment_ids=reviews[i][:n], num_segments=shape[0]
            )
            with tf.GradientTape() as tape:
                tape.watch(summed)
                h = tf.nn.relu(tf.nn.relu(summed + b1) @ w2 + b2)
                z = (h @ w3 + b3)[:, 0]
                loss = tf.reduce_mean(
                    tf.nn.sigmoid_cross_entropy_with_logits(labels=labels[i], logits=z)
                )
            dsummed, *gradients = tape.gradient(loss, [summed, *weights[1:]])
            places = tf.cast(tf.stack([reviews[i][:n], words[i][:n]], axis=1), tf.int64)
            x = tf.SparseTensor(places, ones[:n], shape)
            dw1 = tf.sparse.sparse_dense_matmul(x, dsummed, adjoint_a=True)
            for w, v, m, g in zip(weights, averages, momenta, [dw1, *gradients], strict=True):
                tf.raw_ops.ResourceApplyRMSProp(
                    var=w.handle,
                    ms=v.handle,
                    mom=m.handle,
                    lr=LR,
                    rho=RHO,
                    momentum=0.0,
                    epsilon=EPS,
                    grad=g,
                )
            losses = losses.write(i, loss)
        return losses.stack()

    return lambda: train().numpy()
