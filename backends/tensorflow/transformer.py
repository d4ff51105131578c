"""The encoder-decoder transformer in TensorFlow, from Keras layers.

Vaswani et al. 2017, normalised before every sublayer (Xiong et al. 2020), the output's kernel tied
to the embedding of the decoder (Press & Wolf 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import backends.tensorflow
from backends.tensorflow.attention import (
    Attention,
    Bias,
    Cache,
    Heads,
    LayerNorm,
    Packing,
    Padded,
    Part,
    attention_bias,
    dense,
    positions,
    smoothed_cross_entropy,
    split,
    tied,
)
from backends.tensorflow.dropout import Dropout
from backends.tensorflow.engine import Batch, Program
from backends.tensorflow.taps import tap
from tasks.task import State, Task

PAD, BEGIN, END, UNKNOWN = range(4)
BANNED = (PAD, BEGIN, UNKNOWN)


class _Sublayer(Part):
    """x + dropout(f(norm(x))) of rows (words, width)."""

    def __init__(self, config: Any, name: str):
        super().__init__(name)
        self.norm = LayerNorm(config.width, config.norm_epsilon, f"{name}.norm")
        self.dropout = Dropout(config.dropout, name)


class _Attending(_Sublayer):
    def __init__(self, config: Any, name: str):
        super().__init__(config, name)
        self.attention = Attention(config.width, config.heads, name)

    def call(
        self,
        x: tf.Tensor,
        packing: Packing,
        bias: tf.Tensor,
        attended: Heads | None = None,
        cache: Cache | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, Heads]:
        """Rows, weights, keys and values as of ``Attention``."""
        y, weights, used = self.attention(
            self.norm(x), packing=packing, bias=bias, attended=attended, cache=cache
        )
        x += packing.drop(self.dropout, y)
        return tap(self.name, x), weights, used


class _FeedForward(_Sublayer):
    def __init__(self, config: Any, name: str):
        super().__init__(config, name)
        self.hidden = dense(config.width, config.hidden, f"{name}.hidden", activation="relu")
        self.output_layer = dense(config.hidden, config.width, f"{name}.output")

    def call(self, x: tf.Tensor, packing: Packing) -> tf.Tensor:
        y = self.output_layer(self.hidden(self.norm(x)))
        return tap(self.name, x + packing.drop(self.dropout, y))


class _EncoderLayer(Part):
    def __init__(self, config: Any, name: str):
        super().__init__(name)
        self.self_attention = _Attending(config, f"{name}.self")
        self.feedforward = _FeedForward(config, f"{name}.feedforward")

    def call(self, x: tf.Tensor, packing: Packing, bias: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows and attention weights."""
        x, weights, _ = self.self_attention(x, packing=packing, bias=bias)
        return self.feedforward(x, packing=packing), weights


class _DecoderLayer(Part):
    def __init__(self, config: Any, name: str):
        super().__init__(name)
        self.self_attention = _Attending(config, f"{name}.self")
        self.cross_attention = _Attending(config, f"{name}.cross")
        self.feedforward = _FeedForward(config, f"{name}.feedforward")

    def call(
        self,
        x: tf.Tensor,
        packing: Packing,
        bias: tf.Tensor,
        source: Heads,
        source_bias: tf.Tensor,
        cache: Cache | None = None,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor], Heads]:
        """Rows, the weights of self- and cross-attention, keys and values of the former."""
        x, own, used = self.self_attention(x, packing=packing, bias=bias, cache=cache)
        x, cross, _ = self.cross_attention(x, packing=packing, bias=source_bias, attended=source)
        return self.feedforward(x, packing=packing), (own, cross), used


class _Stack(Part):
    """Embedding, layers and a last norm."""

    def __init__(self, config: Any, words: int, name: str, layer: Callable[[Any, str], Part]):
        super().__init__(name)
        self.embedding = keras.layers.Embedding(words, config.width, name=f"{name}.embedding")
        self.embedding.build(None)
        self.dropout = Dropout(config.dropout, f"{name}.embedding")
        self.blocks = [layer(config, f"{name}.{number}") for number in range(config.layers)]
        self.norm = LayerNorm(config.width, config.norm_epsilon, f"{name}.norm")

    def embedded(self, rows: tf.Tensor, sinusoids: tf.Tensor, packing: Packing) -> tf.Tensor:
        """The layers' input from rows of the embedding."""
        x = tap(f"{self.name}.embedding", rows * rows.shape[-1] ** 0.5 + sinusoids)
        return packing.drop(self.dropout, x)


class _Encoder(_Stack):
    def call(self, source: tf.Tensor, packing: Packing) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Rows (words, width) and the layers' attention weights, from sentences (n, S)."""
        rows = self.embedding(packing.ids(source))
        x = self.embedded(rows, packing.positions(rows.shape[-1], rows.dtype), packing)
        bias, weights = _source_bias(source, x.dtype), []
        for block in self.blocks:
            x, found = block(x, packing=packing, bias=bias)
            weights.append(found)
        return self.norm(x), weights


class _Decoder(_Stack):
    def call(
        self,
        rows: tf.Tensor,
        packing: Packing,
        source: list[Heads],
        source_bias: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tuple[tf.Tensor, tf.Tensor]]]:
        """Rows (words, width) and attention weights, from rows of the embedding."""
        x = self.embedded(rows, packing.positions(rows.shape[-1], rows.dtype), packing)
        later = np.triu(np.full((packing.length, packing.length), -np.inf), 1)
        bias = tf.constant(later, x.dtype)
        weights = []
        for block, attended in zip(self.blocks, source, strict=True):
            x, found, _ = block(
                x, packing=packing, bias=bias, source=attended, source_bias=source_bias
            )
            weights.append(found)
        return self.norm(x), weights

    def step(
        self,
        last: tf.Tensor,
        place: tf.Tensor,
        held: list[Heads],
        source: list[Heads],
        source_bias: tf.Tensor,
    ) -> tuple[tf.Tensor, list[Heads]]:
        """Rows (n, width) of the words ``last`` (n,) at ``place``, and what is held from there.

        ``held`` are the layers' keys and values of the positions before.
        """
        limit = held[0][0].shape[2]
        rows, packing = self.embedding(last), Packing(tf.ones((last.shape[0], 1), tf.bool))
        table = tf.constant(positions(limit, rows.shape[-1]), rows.dtype)
        x = self.embedded(rows, table[place], packing)
        bias = attention_bias(tf.range(limit) <= place, x.dtype)
        shared = {"packing": packing, "bias": bias, "source_bias": source_bias}
        used = []
        for block, attended, (keys, values) in zip(self.blocks, source, held, strict=True):
            cache = Cache(keys, values, place)
            x, _, extended = block(x, source=attended, cache=cache, **shared)
            used.append(extended)
        return self.norm(x), used

    def attended(self, memory: tf.Tensor, packing: Packing) -> list[Heads]:
        """The keys and values of every layer's cross-attention, from the encoder's rows."""
        return [
            block.cross_attention.attention.keys_and_values(memory, packing)
            for block in self.blocks
        ]


class _Transformer(Part):
    def __init__(self, config: Any, german: int, english: int):
        super().__init__("transformer")
        self.encoder = _Encoder(config, german, "encoder", _EncoderLayer)
        self.decoder = _Decoder(config, english, "decoder", _DecoderLayer)
        self.output_layer = Bias(english, "output")

    def call(
        self, batch: Batch, sources: Packing, targets: Packing, training: bool = False
    ) -> dict[str, Any]:
        """Results for the words that ``sources`` and ``targets`` choose.

        ``y`` (words, width) are the rows before the output layer and ``kernel`` is that layer's;
        ``memory`` (words, width) is the encoder's output, ``weights`` are those of attention.
        """
        source = batch["source"]
        memory, encoder_weights = self.encoder(source, packing=sources)
        embeddings = tf.convert_to_tensor(self.decoder.embedding.embeddings.value)
        rows, kernel = tied(embeddings, targets.ids(batch["inputs"]))
        y, decoder_weights = self.decoder(
            rows,
            packing=targets,
            source=self.decoder.attended(memory, sources),
            source_bias=_source_bias(source, rows.dtype),
        )
        own, cross = zip(*decoder_weights, strict=True)
        weights = {"encoder": encoder_weights, "decoder": own, "cross": cross}
        return {"y": y, "kernel": kernel, "memory": memory, "weights": weights}

    def logits(self, y: tf.Tensor) -> tf.Tensor:
        """(n, words) from the decoder's rows (n, width)."""
        kernel = self.decoder.embedding.embeddings.value
        return tf.nn.bias_add(tf.matmul(y, kernel, transpose_b=True), self.output_layer.bias.value)


def _source_bias(source: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """(n, 1, 1, S): no attention to padding."""
    return attention_bias(source != PAD, dtype)[:, None, None]


def _all(sentences: tf.Tensor) -> Packing:
    """Padding too, where outputs of it are asked for."""
    return Packing(tf.ones(sentences.shape, tf.bool))


def forward(config: Any, model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Cross-entropies, logits, translations or a step of one: see ``tasks.transformer``."""
    if "memory" in batch:
        return _decoding_step(config, model, batch)
    if "targets" in batch:
        return {"nats": _nats(model, batch)}
    if "inputs" in batch:
        return _logits(model, batch)
    return {"tokens": _translated(config, model, batch["source"])}


def _nats(model: keras.Model, batch: Batch) -> tf.Tensor:
    """(n, T)."""
    packing = Packing(batch["targets"] != PAD)
    y = model(batch, sources=Packing(batch["source"] != PAD), targets=packing)["y"]
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=packing.ids(batch["targets"]), logits=model.logits(y)
    )
    return packing.pad(nats[:, None])[..., 0]


def _logits(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Logits (n, T, words), the encoder's output and attention weights."""
    sources, targets = _all(batch["source"]), _all(batch["inputs"])
    found = model(batch, sources=sources, targets=targets)
    weights = {f"attention.{kind}": tf.stack(w, axis=1) for kind, w in found["weights"].items()}
    logits = targets.pad(model.logits(found["y"]))
    return {"logits": logits, "memory": sources.pad(found["memory"]), **weights}


def _translated(config: Any, model: keras.Model, source: tf.Tensor) -> tf.Tensor:
    """Greedy decoding, (n, most words), of sentences (n, S)."""
    n, longest = source.shape
    most = min(longest - 1 + config.decode_extra, config.decode_limit)
    words = tf.math.count_nonzero(source != PAD, axis=1, dtype=tf.int32) - 1
    limits = tf.minimum(words + config.decode_extra, config.decode_limit)
    packing = Packing(source != PAD)
    memory, _ = model.encoder(source, packing=packing)
    attended = model.decoder.attended(memory, packing)
    source_bias = _source_bias(source, memory.dtype)
    banned = tf.reduce_any(tf.range(model.output_layer.bias.shape[0])[:, None] == BANNED, axis=1)
    ban = attention_bias(~banned, memory.dtype)

    def body(place: tf.Tensor, last: tf.Tensor, going: tf.Tensor, tokens: Any, held: Any) -> Any:
        y, held = model.decoder.step(last, place, held, attended, source_bias)
        best = tf.argmax(model.logits(y) + ban, axis=1, output_type=tf.int32)
        last = tf.where(going, best, PAD)
        going &= (last != END) & (place + 1 < limits)
        return place + 1, last, going, tokens.write(place, last), held

    none = tf.zeros((n, config.heads, most, config.width // config.heads), memory.dtype)
    tokens = tf.TensorArray(tf.int32, most, element_shape=(n,))
    start = (0, tf.fill((n,), BEGIN), tf.ones(n, tf.bool), tokens, [(none, none)] * config.layers)
    found = tf.while_loop(lambda place, last, going, *_: tf.reduce_any(going), body, start)
    return tf.transpose(found[3].stack())


def _decoding_step(config: Any, model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    packing = _all(batch["source"])
    attended = model.decoder.attended(packing.pack(batch["memory"]), packing)
    per_layer = (tf.unstack(batch[name], axis=1) for name in ("keys", "values"))
    held = [
        tuple(split(cached, 1, config.heads)[0] for cached in pair)
        for pair in zip(*per_layer, strict=True)
    ]
    source_bias = _source_bias(batch["source"], batch["memory"].dtype)
    y, used = model.decoder.step(batch["last"], batch["place"], held, attended, source_bias)
    keys, values = (
        tf.reshape(tf.transpose(tf.stack(parts, axis=1), (0, 1, 3, 2, 4)), batch["keys"].shape)
        for parts in zip(*used, strict=True)
    )
    return {"logits": model.logits(y), "keys": keys, "values": values}


def loss(config: Any, model: keras.Model, batch: Batch) -> tf.Tensor:
    """Mean cross-entropy of the words that are targets, with label smoothing."""
    packing = Padded if backends.tensorflow.mode == "xla" else Packing
    sources, targets = (packing(batch[name] != PAD, batch) for name in ("source", "targets"))
    found = model(batch, sources=sources, targets=targets, training=True)
    return smoothed_cross_entropy(
        found["y"],
        found["kernel"],
        tf.convert_to_tensor(model.output_layer.bias.value),
        targets.ids(batch["targets"]),
        targets.weights(found["y"].dtype),
        config.label_smoothing,
    )


def _canonical(batch: Batch, name: str, x: tf.Tensor) -> tf.Tensor:
    """A tap as sentences (n, T, ...), 0 at padding: of the source, or of the targets."""
    if not x.shape.rank:
        return x
    of_source = name.startswith("encoder") or ".cross.key" in name or ".cross.value" in name
    real = batch["source" if of_source else "targets"] != PAD
    if x.shape.rank == 4:  # (n, heads, T, width / heads)
        x = tf.transpose(x, (0, 2, 1, 3))
    elif x.shape[0] == tf.math.count_nonzero(real):
        return Packing(real).pad(x)
    return tf.reshape(x, (*real.shape, -1)) * tf.cast(real, x.dtype)[..., None]


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    german, english = (len(state.params[f"{s}.embedding.kernel"]) for s in ("encoder", "decoder"))
    model = _Transformer(task.config, german, english)
    given = partial(forward, task.config), partial(loss, task.config)
    return Program(task, state, seed, model, *given, _canonical)
