"""TensorFlow: plain variables, one graph for all steps, no padding outside attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tasks.task import Tree

LR, BETA1, BETA2, EPS, CLIP, WARMUP, TOTAL = 2e-3, 0.9, 0.98, 1e-9, 1.0, 200, 1800
HEADS, LAYERS, SMOOTHING, NORM_EPS = 4, 2, 0.1, 1e-5
INF = float("inf")


@tf.custom_gradient
def layer_norm(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> Any:
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    slope = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + NORM_EPS)
    h = centred * slope

    def back(dy: tf.Tensor) -> Any:
        dh = dy * scale
        along = h * tf.reduce_mean(dh * h, -1, keepdims=True)
        dx = slope * (dh - tf.reduce_mean(dh, -1, keepdims=True) - along)
        return dx, tf.reduce_sum(dy * h, 0), tf.reduce_sum(dy, 0)

    return h * scale + offset, back


@tf.custom_gradient
def smoothed(y: tf.Tensor, e: tf.Tensor, b: tf.Tensor, t: tf.Tensor) -> Any:
    """Mean loss of rows y, with one exp pass over the vocabulary and no other."""
    p = tf.nn.softmax(tf.nn.bias_add(tf.matmul(y, e, transpose_b=True), b))
    n, words = tf.cast(tf.shape(y)[0], tf.float32), e.shape[0]
    rows, total = tf.gather(e, t), tf.reduce_sum(e, 0)
    hit = tf.reduce_sum(y * rows, 1) + tf.gather(b, t)
    mean = (tf.linalg.matvec(y, total) + tf.reduce_sum(b)) / words
    nats = -tf.math.log(tf.gather(p, t, batch_dims=1))

    def back(d: tf.Tensor) -> Any:
        d /= n
        one, spread = (1 - SMOOTHING) * d, SMOOTHING / words * d
        dy = d * tf.matmul(p, e) - one * rows - spread * total
        de = tf.matmul(p, d * y, transpose_a=True) - spread * tf.reduce_sum(y, 0)
        db = tf.linalg.matvec(p, tf.fill(tf.shape(t), d), transpose_a=True) - spread * n
        de = tf.tensor_scatter_nd_add(de, t[:, None], -one * y)
        return dy, de, tf.tensor_scatter_nd_add(db, t[:, None], tf.fill(tf.shape(t), -one)), None

    return tf.reduce_mean(nats + SMOOTHING * (hit - mean)), back


@tf.custom_gradient
def gather_tied(e: tf.Tensor, ids: tf.Tensor) -> Any:
    def back(drows: tf.Tensor, de: tf.Tensor) -> Any:
        return tf.tensor_scatter_nd_add(de, ids[:, None], drows), None

    return (tf.gather(e, ids), tf.identity(e)), back


class Words:
    """The words of padded sentences as rows, and back."""

    def __init__(self, sentences: tf.Tensor):
        self.n, self.length = sentences.shape
        flat = tf.reshape(sentences, [-1])
        self.places = tf.cast(tf.where(flat)[:, 0], tf.int32)
        count = tf.cumsum(tf.cast(flat != 0, tf.int32))
        self.rows = tf.where(flat != 0, count - 1, count[-1])

    def of(self, sentences: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.reshape(sentences, [-1]), self.places)

    def positions(self, width: int) -> tf.Tensor:
        angles = np.arange(self.length)[:, None] / 1e4 ** (np.arange(0, width, 2) / width)
        table = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(-1, width)
        return tf.gather(tf.constant(table, tf.float32), self.places % self.length)

    def split(self, x: tf.Tensor, parts: int) -> Any:
        """Rows to heads, (n, heads, length, size) for each part."""
        padded = tf.reshape(self.pad(x), (self.n, self.length, parts, HEADS, -1))
        return tf.unstack(tf.transpose(padded, (2, 0, 3, 1, 4)))

    def merge(self, x: tf.Tensor) -> tf.Tensor:
        return self.pack(tf.reshape(tf.transpose(x, (0, 2, 1, 3)), (self.n * self.length, -1)))

    def pad(self, x: tf.Tensor) -> Any:
        return tf.custom_gradient(lambda x: (self._pad(x), self._pack))(x)

    def pack(self, x: tf.Tensor) -> Any:
        return tf.custom_gradient(lambda x: (self._pack(x), self._pad))(x)

    def _pad(self, x: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.pad(x, [[0, 1], [0, 0]]), self.rows)

    def _pack(self, x: tf.Tensor) -> tf.Tensor:
        return tf.gather(x, self.places)


class Model:
    def __init__(self, w: dict[str, tf.Tensor]):
        self.w = w

    def norm(self, name: str, x: tf.Tensor) -> tf.Tensor:
        return layer_norm(x, self.w[f"{name}.scale"], self.w[f"{name}.offset"])

    def dense(self, name: str, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.bias_add(tf.matmul(x, self.w[f"{name}.kernel"]), self.w[f"{name}.bias"])

    def project(self, words: Words, name: str, x: tf.Tensor, *parts: str) -> Any:
        kernel = tf.concat([self.w[f"{name}.{part}.kernel"] for part in parts], 1)
        bias = tf.concat([self.w[f"{name}.{part}.bias"] for part in parts], 0)
        return words.split(tf.nn.bias_add(tf.matmul(x, kernel), bias), len(parts))

    def attend(self, words: Words, name: str, qkv: Any, bias: tf.Tensor) -> tf.Tensor:
        q, k, v = qkv
        scores = tf.matmul(q * q.shape[-1] ** -0.5, k, transpose_b=True) + bias
        return self.dense(f"{name}.output", words.merge(tf.matmul(tf.nn.softmax(scores), v)))

    def self_attention(self, words: Words, name: str, x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        h = self.norm(f"{name}.norm", x)
        qkv = self.project(words, name, h, "query", "key", "value")
        return x + self.attend(words, name, qkv, bias)

    def feedforward(self, name: str, x: tf.Tensor) -> tf.Tensor:
        h = tf.nn.relu(self.dense(f"{name}.hidden", self.norm(f"{name}.norm", x)))
        return x + self.dense(f"{name}.output", h)

    def loss(self, source: tf.Tensor, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        german, english = Words(source), Words(targets)
        width = self.w["decoder.norm.scale"].shape[0]
        hidden = tf.where(source != 0, 0.0, -INF)[:, None, None]
        x = tf.gather(self.w["encoder.embedding.kernel"], german.of(source))
        x = x * width**0.5 + german.positions(width)
        for layer in range(LAYERS):
            x = self.self_attention(german, f"encoder.{layer}.self", x, hidden)
            x = self.feedforward(f"encoder.{layer}.feedforward", x)
        memory = self.norm("encoder.norm", x)
        later = tf.constant(np.triu(np.full((english.length,) * 2, -INF, np.float32), 1))
        rows, e = gather_tied(self.w["decoder.embedding.kernel"], english.of(inputs))
        y = rows * width**0.5 + english.positions(width)
        for layer in range(LAYERS):
            y = self.self_attention(english, f"decoder.{layer}.self", y, later)
            name = f"decoder.{layer}.cross"
            (q,) = self.project(english, name, self.norm(f"{name}.norm", y), "query")
            k, v = self.project(german, name, memory, "key", "value")
            y += self.attend(english, name, (q, k, v), hidden)
            y = self.feedforward(f"decoder.{layer}.feedforward", y)
        y = self.norm("decoder.norm", y)
        return smoothed(y, e, self.w["output.bias"], english.of(targets))


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = {name: tf.Variable(a) for name, a in params.items()}
    m, v = ([tf.Variable(tf.zeros_like(w)) for w in weights.values()] for _ in range(2))
    made = tf.Variable(0.0)
    batches = [tf.constant(chunk[name]) for name in ("source", "inputs", "targets")]
    steps = len(chunk["source"])

    @tf.function(autograph=False)
    def train(*batches: tf.Tensor) -> tf.Tensor:
        def body(step: tf.Tensor, losses: Any) -> Any:
            with tf.GradientTape() as tape:
                w = {name: tf.convert_to_tensor(p) for name, p in weights.items()}
                tape.watch(list(w.values()))
                loss = Model(w).loss(*(batch[step] for batch in batches))
            gradients = map(tf.convert_to_tensor, tape.gradient(loss, list(w.values())))
            t = made.assign_add(1.0)
            power1, power2 = BETA1**t, BETA2**t
            rate = LR * tf.minimum(t / WARMUP, tf.nn.relu(TOTAL + 1 - t) / (TOTAL - WARMUP))
            epsilon = EPS * tf.sqrt(1 - power2)  # the kernel adds it before the correction
            clipped, _ = tf.clip_by_global_norm(list(gradients), CLIP)
            for p, mean, square, g in zip(weights.values(), m, v, clipped, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    **{"var": p.handle, "m": mean.handle, "v": square.handle, "grad": g},
                    **{"beta1_power": power1, "beta2_power": power2, "lr": rate},
                    **{"beta1": BETA1, "beta2": BETA2, "epsilon": epsilon},
                )
            return step + 1, losses.write(step, loss)

        losses = tf.TensorArray(tf.float32, steps)
        return tf.while_loop(lambda step, _: step < steps, body, (0, losses))[1].stack()

    return lambda: train(*batches).numpy()
