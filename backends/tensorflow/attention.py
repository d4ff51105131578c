"""Components of a transformer in TensorFlow: Keras layers on the words of padded sentences.

Position-wise layers see the words alone, as rows; only attention sees sentences and their padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from backends.tensorflow.dropout import Dropout
from backends.tensorflow.taps import tap
from tasks.task import MASK, Array

Backward = Callable[[tf.Tensor], tf.Tensor]
Heads = tuple[tf.Tensor, tf.Tensor]
"""Keys and values, each (n, heads, T, width / heads)."""


def positions(length: int, width: int) -> Array:
    """Sinusoids (length, width): P[p, 2i] = sin(p / 10000^(2i / width)), P[p, 2i + 1] = cos(same).

    Vaswani et al. 2017, section 3.5.
    """
    angles = np.arange(length)[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, width)


class Packing:
    """Where the words of padded sentences are: as rows (words, ...) without the padding."""

    def __init__(self, present: tf.Tensor, masks: Mapping[str, tf.Tensor] | None = None):
        """``present`` (n, T) tells words from padding.

        ``masks`` (n, T, width) may say by ``dropout/<layer>`` what dropout keeps.
        """
        self._masks = masks or {}
        self.sentences, self.length = present.shape
        present = tf.reshape(present, [-1])
        self._places = tf.cast(tf.where(present)[:, 0], tf.int32)  # of every row in n T
        numbers = tf.cumsum(tf.cast(present, tf.int32))
        # the row of every place; that of padding is the one behind all others
        self._rows = tf.where(present, numbers - 1, numbers[-1])

    def positions(self, width: int, dtype: tf.DType) -> tf.Tensor:
        """The sinusoids (words, width) of the words' positions."""
        return tf.gather(tf.constant(positions(self.length, width), dtype), self.columns())

    def columns(self) -> tf.Tensor:
        """The words' positions in their sentences, (words,)."""
        return self._places % self.length

    def ids(self, sentences: tf.Tensor) -> tf.Tensor:
        """The words (words,) of ``sentences`` (n, T)."""
        return tf.gather(tf.reshape(sentences, [-1]), self._places)

    def pack(self, x: tf.Tensor) -> tf.Tensor:
        """Rows (words, width) of x (n, T, width)."""
        run: Callable[[tf.Tensor], tf.Tensor] = tf.custom_gradient(
            lambda x: (self._packed(x), self._padded)
        )
        return run(x)

    def pad(self, rows: tf.Tensor) -> tf.Tensor:
        """Sentences (n, T, width) of rows (words, width), 0 at padding."""
        run: Callable[[tf.Tensor], tf.Tensor] = tf.custom_gradient(
            lambda rows: (self._padded(rows), self._packed)
        )
        return run(rows)

    def drop(self, dropout: Dropout, rows: tf.Tensor) -> tf.Tensor:
        """Rows (words, width) with dropout, by its mask if that is given."""
        mask = self._masks.get(f"{MASK}{dropout.layer}")
        return dropout(rows) if mask is None else dropout(rows, kept=self._packed(mask))

    def weights(self, dtype: tf.DType) -> tf.Tensor:
        """The weight of each row in a mean over the words, (words,)."""
        return tf.fill(tf.shape(self._places), 1 / tf.cast(tf.size(self._places), dtype))

    def _packed(self, x: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.reshape(x, (self.sentences * self.length, -1)), self._places)

    def _padded(self, rows: tf.Tensor) -> tf.Tensor:
        padded = tf.gather(tf.pad(rows, [[0, 1], [0, 0]]), self._rows)
        return tf.reshape(padded, (self.sentences, self.length, rows.shape[-1]))


class Padded(Packing):
    """Padding has its rows as words have: XLA needs shapes that do not depend on the words."""

    def __init__(self, present: tf.Tensor, masks: Mapping[str, tf.Tensor] | None = None):
        self._masks = masks or {}
        self.sentences, self.length = present.shape
        self._present = tf.reshape(present, [-1])

    def columns(self) -> tf.Tensor:
        return tf.tile(tf.range(self.length), [self.sentences])

    def ids(self, sentences: tf.Tensor) -> tf.Tensor:
        return tf.reshape(sentences, [-1])

    def weights(self, dtype: tf.DType) -> tf.Tensor:
        present = tf.cast(self._present, dtype)
        return present / tf.reduce_sum(present)

    def _packed(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, (self.sentences * self.length, x.shape[-1]))

    def _padded(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.reshape(rows, (self.sentences, self.length, rows.shape[-1]))


def attention_bias(allowed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The bias that, added to scores, leaves attention only where it is ``allowed``."""
    return tf.where(allowed, tf.zeros((), dtype), tf.constant(-np.inf, dtype))


class Cache(NamedTuple):
    """Keys and values of the positions before ``place``, with room for more."""

    keys: tf.Tensor
    """(n, heads, limit, width / heads)"""
    values: tf.Tensor
    place: tf.Tensor

    def extended(self, keys: tf.Tensor, values: tf.Tensor) -> Heads:
        """All keys and values, with those (n, heads, 1, width / heads) of ``place``."""
        return self._written(self.keys, keys), self._written(self.values, values)

    def _written(self, held: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
        n, heads, limit, width = held.shape
        rows = tf.range(n * heads) * limit + self.place
        flat = tf.reshape(held, (-1, width))  # as rows, which are written in place
        written = tf.tensor_scatter_nd_update(flat, rows[:, None], tf.reshape(new, (-1, width)))
        return tf.reshape(written, held.shape)


class Part(keras.Model):
    """A model within a model, of layers that are built when they are made."""

    def __init__(self, name: str):
        super().__init__(name=name)
        self.built = True


class LayerNorm(keras.layers.LayerNormalization):
    """Layer normalisation of rows (n, width)."""

    def __init__(self, width: int, epsilon: float, name: str):
        super().__init__(epsilon=epsilon, name=name)
        self.build((None, width))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        scale, offset = map(tf.convert_to_tensor, (self.gamma.value, self.beta.value))
        return layer_norm(x, scale, offset, self.epsilon)


def layer_norm(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float) -> tf.Tensor:
    """y = scale (x - mean) / sqrt(variance + epsilon) + offset of rows (n, width).

    Ba et al. 2016, equations 3 and 4. With the gradient in closed form a training step of the
    translation task takes 2% less than with an automatic one.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, Backward]:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        slope = tf.math.rsqrt(variance + epsilon)
        normal = centred * slope

        def backward(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            d = dy * scale
            along = tf.reduce_mean(d * normal, axis=-1, keepdims=True)
            dx = slope * (d - tf.reduce_mean(d, axis=-1, keepdims=True) - normal * along)
            return dx, tf.reduce_sum(dy * normal, axis=0), tf.reduce_sum(dy, axis=0)

        return normal * scale + offset, backward

    return run(x, scale, offset)


class Attention(Part):
    """Multi-head attention, Vaswani et al. 2017, section 3.2, of rows (words, width)."""

    def __init__(self, width: int, heads: int, name: str):
        super().__init__(name)
        self.heads = heads
        self.query, self.key, self.value, self.output_layer = (
            dense(width, width, f"{name}.{part}") for part in ("query", "key", "value", "output")
        )

    def call(
        self,
        x: tf.Tensor,
        packing: Packing,
        bias: tf.Tensor,
        attended: Heads | None = None,
        cache: Cache | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, Heads]:
        """Rows y (words, width), the weights (n, heads, T, S), and the keys and values used.

        Those are ``attended``, or else of x itself, behind those in ``cache``. ``bias``, which
        (n, heads, T, S) can be added to, is minus infinity where nothing may be attended to.
        """
        if attended is None:
            q, k, v = self._project(x, packing, self.query, self.key, self.value)
            k, v = cache.extended(k, v) if cache else (k, v)
        else:
            (q,), (k, v) = self._project(x, packing, self.query), attended
        scores = tf.matmul(q * q.shape[-1] ** -0.5, k, transpose_b=True)
        weights = tf.nn.softmax(scores + bias)
        mixed = tf.transpose(tf.matmul(weights, v), (0, 2, 1, 3))  # (n, T, heads, width / heads)
        y = packing.pack(tf.reshape(mixed, (packing.sentences, packing.length, x.shape[-1])))
        return self.output_layer(tap(f"{self.name}.attend", y)), weights, (k, v)

    def keys_and_values(self, memory: tf.Tensor, packing: Packing) -> Heads:
        """Keys and values of the rows (words, width) that others attend to."""
        k, v = self._project(memory, packing, self.key, self.value)
        return k, v

    def _project(
        self, x: tf.Tensor, packing: Packing, *layers: keras.layers.Dense
    ) -> list[tf.Tensor]:
        """The output of each layer for x, (n, heads, T, width / heads): one product for all."""
        kernel = tf.concat([layer.kernel for layer in layers], axis=1)
        biases = [layer.bias.value for layer in layers]
        if self.key in layers:
            place = layers.index(self.key)
            biases[place] = _held(tf.convert_to_tensor(biases[place]))
        bias = tf.concat(biases, axis=0)
        y = packing.pad(tf.nn.bias_add(tf.matmul(x, kernel), bias))
        parts = split(y, len(layers), self.heads)
        return [tap(layer.name, x) for layer, x in zip(layers, parts, strict=True)]


@tf.custom_gradient
def _held(bias: tf.Tensor) -> tuple[tf.Tensor, Backward]:
    """A bias with gradient 0: softmax does not see what all keys share.

    Only rounding would be left of it, of which Adam makes steps as long as any.
    """
    return tf.identity(bias), tf.zeros_like


def split(x: tf.Tensor, parts: int, heads: int) -> list[tf.Tensor]:
    """The parts of x (n, T, parts width), each (n, heads, T, width / heads)."""
    n, length, width = x.shape
    apart = tf.reshape(x, (n, length, parts, heads, width // parts // heads))
    found: list[tf.Tensor] = tf.unstack(tf.transpose(apart, (2, 0, 3, 1, 4)))
    return found


def dense(
    inputs: int, outputs: int, name: str, activation: str | None = None
) -> keras.layers.Dense:
    """A built Dense layer."""
    layer = keras.layers.Dense(outputs, activation=activation, name=name)
    layer.build((None, inputs))
    return layer


class Bias(keras.layers.Layer):
    """The bias (units,) of a product whose kernel belongs to another layer."""

    def __init__(self, units: int, name: str):
        super().__init__(name=name)
        self.bias = self.add_weight(shape=(units,), name="bias")


@tf.custom_gradient
def tied(
    kernel: tf.Tensor, ids: tf.Tensor
) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable[..., object]]:
    """The rows ``ids`` of ``kernel``, and the kernel for its other use.

    One of the two gradients is then added to the other in place, not both made dense and summed.
    """

    def backward(drows: tf.Tensor, dkernel: tf.Tensor) -> tuple[tf.Tensor, None]:
        return tf.tensor_scatter_nd_add(dkernel, ids[:, None], drows), None

    return (tf.gather(kernel, ids), tf.identity(kernel)), backward


def smoothed_cross_entropy(
    y: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor,
    targets: tf.Tensor,
    weights: tf.Tensor,
    smoothing: float,
) -> tf.Tensor:
    """The weighted mean over rows y (n, width) of -[(1 - s) log p_t + s / V sum_v log p_v].

    p = softmax(z), z = y kernel^T + bias, for kernel (V, width), targets t (n,), smoothing s
    (Szegedy et al. 2016, section 7) and ``weights`` (n,), whose sum is 1. Of all that has a row for
    every target and a column for every word, only p is kept, and nothing is computed of it twice:
    the mean of z is that of kernel and bias, and dz = p - (1 - s) onehot(t) - s / V is never
    formed, only its products.
    """
    words = kernel.shape[0]

    @tf.custom_gradient
    def run(y: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Backward]:
        p = tf.nn.softmax(_logits(y, kernel, bias))
        rows, total = tf.gather(kernel, targets), tf.reduce_sum(kernel, axis=0)
        chosen = tf.reduce_sum(y * rows, axis=1) + tf.gather(bias, targets)  # z_t
        mean = (tf.linalg.matvec(y, total) + tf.reduce_sum(bias)) / words  # of z
        nats = _nats(y, kernel, bias, p, targets, weights, chosen)

        def backward(d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            d_rows = d * weights
            each = d_rows[:, None]
            hit, any_word = (1 - smoothing) * each, smoothing / words * each
            dy = each * tf.matmul(p, kernel) - hit * rows - any_word * total
            dkernel = tf.matmul(p, each * y, transpose_a=True)
            dkernel -= tf.reduce_sum(any_word * y, axis=0)
            dkernel = tf.tensor_scatter_nd_add(dkernel, targets[:, None], -hit * y)
            # a product sums the columns faster than reduce_sum
            dbias = tf.linalg.matvec(p, d_rows, transpose_a=True) - smoothing / words * d
            return dy, dkernel, tf.tensor_scatter_nd_add(dbias, targets[:, None], -hit[:, 0])

        return tf.reduce_sum(weights * (nats + smoothing * (chosen - mean))), backward

    return run(y, kernel, bias)


def _logits(y: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.nn.bias_add(tf.matmul(y, kernel, transpose_b=True), bias)


def _nats(
    y: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor,
    p: tf.Tensor,
    targets: tf.Tensor,
    weights: tf.Tensor,
    chosen: tf.Tensor,
) -> tf.Tensor:
    """-log p_t (n,), 0 without weight; where p_t has underflown, from the logits once more."""
    found = tf.where(weights > 0, tf.gather(p, targets, batch_dims=1), 1)
    return tf.cond(
        tf.reduce_all(found >= np.finfo(p.dtype.as_numpy_dtype).tiny),
        lambda: -tf.math.log(found),
        lambda: tf.reduce_logsumexp(_logits(y, kernel, bias), axis=1) - chosen,
    )
