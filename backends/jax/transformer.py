"""Encoder-decoder transformer in JAX."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from backends.jax.attention import (
    attend,
    dense,
    layer_norm,
    merge,
    sinusoids,
    smoothed_cross_entropy,
    split,
)
from backends.jax.dropout import dropout
from backends.jax.engine import Arrays, Program
from backends.jax.taps import tap
from tasks.task import State, Task

PAD, BOS, EOS, UNKNOWN = range(4)

_Drop = Callable[[str, jax.Array], jax.Array]
"""``drop(layer, x)``"""
_Memory = tuple[jax.Array, jax.Array]
"""Keys and values of one layer, each (n, heads, positions, width / heads)."""


class _Source(NamedTuple):
    """The source of cross-attention: keys and values by layer, and their mask (n, 1, 1, S)."""

    layers: Sequence[_Memory]
    mask: jax.Array


class _Cache(NamedTuple):
    """Keys and values by layer of the positions before ``place``, for decoding word by word."""

    layers: Sequence[_Memory]
    place: jax.Array

    def visible(self) -> jax.Array:
        """The mask (positions,) of the keys up to ``place``."""
        return jnp.arange(self.layers[0][0].shape[2]) <= self.place

    def extended(self, layer: int, new: _Memory) -> _Memory:
        """A layer's keys and values with those of one position put in at ``place``."""
        keys, values = (
            jax.lax.dynamic_update_slice_in_dim(old, row, self.place, axis=2)
            for old, row in zip(self.layers[layer], new, strict=True)
        )
        return keys, values


def forward(config: Any, params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Outputs that the keys of the batch ask for, see ``Transformer``."""
    if "place" in batch:
        return _next_word(config, params, batch)
    if "inputs" not in batch:
        return {"tokens": _translate(config, params, batch["source"])}
    y, outputs = _model(config, params, batch, _kept)
    logits = _logits(params, y)
    if "targets" not in batch:
        return {"logits": logits, **outputs}
    targets = batch["targets"]
    nats = optax.losses.softmax_cross_entropy_with_integer_labels(logits, targets)
    return {"nats": jnp.where(targets == PAD, 0, nats)}


def loss(
    config: Any, params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Mean cross-entropy of the real targets with label smoothing."""
    y, _ = _model(config, params, batch, _dropout(config.dropout, key, batch))
    targets = batch["targets"].reshape(-1)
    value = smoothed_cross_entropy(
        y.reshape(-1, config.width),
        # tied to the embedding: Press & Wolf 2017, section 3
        params["decoder.embedding.kernel"],
        params["output.bias"],
        targets,
        targets != PAD,
        config.label_smoothing,
    )
    return value, buffers


def _model(config: Any, params: Arrays, batch: Arrays, drop: _Drop) -> tuple[jax.Array, Arrays]:
    """The decoder's output (n, T, width); the encoder's and all attention weights by name."""
    inputs = batch["inputs"]
    memory, encoder = _encode(config, params, batch["source"], drop)
    source = _source(config, params, memory, batch["source"])
    causal = jnp.tri(inputs.shape[1], dtype=bool)
    x = drop("decoder.embedding", _embed(params, "decoder", inputs))
    y, _, decoder, cross = _decode(config, params, x, source, causal, drop)
    weights = {"encoder": encoder, "decoder": decoder, "cross": cross}
    stacked = {f"attention.{kind}": jnp.stack(w, axis=1) for kind, w in weights.items()}
    return y, {"memory": memory, **stacked}


def _encode(
    config: Any, params: Arrays, words: jax.Array, drop: _Drop
) -> tuple[jax.Array, list[jax.Array]]:
    """The output (n, S, width) of the encoder and every layer's weights (n, heads, S, S).

    Every sublayer is x + f(norm(x)): Xiong et al. 2020, figure 1b.
    """
    x, mask = drop("encoder.embedding", _embed(params, "encoder", words)), _real(words)
    all_weights = []
    for layer in (f"encoder.{number}" for number in range(config.layers)):
        h = _norm(config, params, f"{layer}.self.norm", x)
        memory = _keys_and_values(config, params, f"{layer}.self", h)
        found, weights = _attention(config, params, f"{layer}.self", h, memory, mask)
        x = tap(f"{layer}.self", x + drop(f"{layer}.self", found))
        x += drop(f"{layer}.feedforward", _feedforward(config, params, f"{layer}.feedforward", x))
        x = tap(f"{layer}.feedforward", x)
        all_weights.append(weights)
    return _norm(config, params, "encoder.norm", x), all_weights


def _decode(
    config: Any,
    params: Arrays,
    x: jax.Array,
    source: _Source,
    visible: jax.Array,
    drop: _Drop,
    cache: _Cache | None = None,
) -> tuple[jax.Array, list[_Memory], list[jax.Array], list[jax.Array]]:
    """The output (n, T, width) of the decoder from embedded words x (n, T, width).

    ``visible`` masks its own keys. With a cache, x is what stands at ``cache.place``, and its own
    keys and values are put into the cached ones. Also these, and every layer's weights of both
    attentions.
    """
    memories, own_weights, cross_weights = [], [], []
    for number in range(config.layers):
        layer = f"decoder.{number}"
        h = _norm(config, params, f"{layer}.self.norm", x)
        memory = _keys_and_values(config, params, f"{layer}.self", h)
        if cache is not None:
            memory = cache.extended(number, memory)
        found, own = _attention(config, params, f"{layer}.self", h, memory, visible)
        x = tap(f"{layer}.self", x + drop(f"{layer}.self", found))
        h, crossed = _norm(config, params, f"{layer}.cross.norm", x), source.layers[number]
        found, cross = _attention(config, params, f"{layer}.cross", h, crossed, source.mask)
        x = tap(f"{layer}.cross", x + drop(f"{layer}.cross", found))
        x += drop(f"{layer}.feedforward", _feedforward(config, params, f"{layer}.feedforward", x))
        x = tap(f"{layer}.feedforward", x)
        memories.append(memory)
        own_weights.append(own)
        cross_weights.append(cross)
    return _norm(config, params, "decoder.norm", x), memories, own_weights, cross_weights


def _step(
    config: Any, params: Arrays, last: jax.Array, cache: _Cache, source: _Source
) -> tuple[jax.Array, list[_Memory]]:
    """The logits (n, words) after the words ``last`` (n,) at ``cache.place``, and what to keep."""
    visible = cache.visible()
    x = _embed(params, "decoder", last[:, None], cache.place, len(visible))
    y, layers, _, _ = _decode(config, params, x, source, visible, _kept, cache)
    return _logits(params, y)[:, 0], layers


def _next_word(config: Any, params: Arrays, batch: Arrays) -> Arrays:
    """One step of decoding from and to keys and values (n, layers, decode_limit, width)."""
    layers = [
        (
            split(batch["keys"][:, number], config.heads),
            split(batch["values"][:, number], config.heads),
        )
        for number in range(config.layers)
    ]
    source = _source(config, params, batch["memory"], batch["source"])
    logits, layers = _step(config, params, batch["last"], _Cache(layers, batch["place"]), source)
    keys, values = (jnp.stack([*map(merge, a)], axis=1) for a in zip(*layers, strict=True))
    return {"logits": logits, "keys": keys, "values": values}


def _translate(config: Any, params: Arrays, words: jax.Array) -> jax.Array:
    """Greedy translations (n, min(S - 1 + decode_extra, decode_limit)) of sources (n, S)."""
    n, length = words.shape
    longest = min(length - 1 + config.decode_extra, config.decode_limit)
    count = (words != PAD).sum(axis=1) - 1
    limits = jnp.minimum(count + config.decode_extra, config.decode_limit)
    memory, _ = _encode(config, params, words, _kept)
    source = _source(config, params, memory, words)
    never = jnp.array([PAD, BOS, UNKNOWN])
    allowed = {**params, "output.bias": params["output.bias"].at[never].set(-jnp.inf)}

    def goes_on(state: Any) -> Any:
        return ~state[-1].all()

    def write(state: Any) -> Any:
        cache, last, tokens, ended = state
        logits, layers = _step(config, allowed, last, cache, source)
        last = jnp.where(ended, PAD, _largest(logits)).astype(last.dtype)
        tokens = jax.lax.dynamic_update_index_in_dim(tokens, last, cache.place, axis=1)
        place = cache.place + 1
        return _Cache(layers, place), last, tokens, ended | (last == EOS) | (place >= limits)

    empty = split(jnp.zeros((n, longest, config.width), memory.dtype), config.heads)
    cache = _Cache([(empty, empty)] * config.layers, jnp.zeros((), jnp.int32))
    tokens = jnp.full((n, longest), PAD, words.dtype)
    start = (cache, jnp.full(n, BOS, words.dtype), tokens, limits <= 0)
    written: jax.Array = jax.lax.while_loop(goes_on, write, start)[2]
    return written


def _largest(logits: jax.Array) -> jax.Array:
    """The number (n,) of the largest of the logits (n, words), the first of equals."""
    # XLA's argmax takes twice the time of these two
    found = logits == logits.max(axis=1, keepdims=True)
    return jnp.where(found, jnp.arange(logits.shape[1]), logits.shape[1]).min(axis=1)


def _embed(
    params: Arrays,
    stack: str,
    words: jax.Array,
    first: jax.Array | int = 0,
    positions: int | None = None,
) -> jax.Array:
    """embedding sqrt(width) + P (n, T, width) of words (n, T) from position ``first`` on.

    There are T ``positions`` unless it is said.
    """
    kernel = params[f"{stack}.embedding.kernel"]
    count, width = words.shape[1], kernel.shape[1]
    table = jnp.asarray(sinusoids(positions or count, width), kernel.dtype)
    rows = kernel.at[words].get(mode="promise_in_bounds")
    x = rows * math.sqrt(width) + jax.lax.dynamic_slice_in_dim(table, first, count)
    return tap(f"{stack}.embedding", x)


def _logits(params: Arrays, y: jax.Array) -> jax.Array:
    """(n, T, words) from the decoder's output (n, T, width)."""
    flat = y.reshape(-1, y.shape[-1]) @ params["decoder.embedding.kernel"].T
    return (flat + params["output.bias"]).reshape(*y.shape[:2], -1)


def _dense(params: Arrays, name: str, x: jax.Array) -> jax.Array:
    """(n, T, outputs) from x (n, T, inputs)."""
    # in two dimensions: XLA's product of three-dimensional arrays is slower
    flat = dense(x.reshape(-1, x.shape[-1]), params[f"{name}.kernel"], params[f"{name}.bias"])
    return tap(name, flat.reshape(*x.shape[:2], -1))


def _norm(config: Any, params: Arrays, name: str, x: jax.Array) -> jax.Array:
    scale, offset = params[f"{name}.scale"], params[f"{name}.offset"]
    return tap(name, layer_norm(x, scale, offset, config.norm_epsilon))


def _feedforward(config: Any, params: Arrays, name: str, x: jax.Array) -> jax.Array:
    """max(0, norm(x) W1 + b1) W2 + b2 (n, T, width): Vaswani et al. 2017, equation 2."""
    h = _dense(params, f"{name}.hidden", _norm(config, params, f"{name}.norm", x))
    h = tap(f"{name}.hidden_activation", jax.nn.relu(h))
    return _dense(params, f"{name}.output", h)


def _keys_and_values(config: Any, params: Arrays, name: str, x: jax.Array) -> _Memory:
    # Softmax does not see what all keys share: their bias has no gradient but rounding, of which
    # Adam would make whole steps.
    bias = jax.lax.stop_gradient(params[f"{name}.key.bias"])
    keys = _dense({**params, f"{name}.key.bias": bias}, f"{name}.key", x)
    return split(keys, config.heads), split(_dense(params, f"{name}.value", x), config.heads)


def _source(config: Any, params: Arrays, memory: jax.Array, words: jax.Array) -> _Source:
    """From the encoder's output (n, S, width) for the words (n, S)."""
    names = (f"decoder.{layer}.cross" for layer in range(config.layers))
    layers = [_keys_and_values(config, params, name, memory) for name in names]
    return _Source(layers, _real(words))


def _attention(
    config: Any, params: Arrays, name: str, x: jax.Array, memory: _Memory, mask: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Attention of queries from x (n, T, width).

    Returns the output (n, T, width) and the weights (n, heads, T, S).
    """
    query = split(_dense(params, f"{name}.query", x), config.heads)
    found, weights = attend(query, *memory, mask)
    merged = tap(f"{name}.attend", merge(found))
    return _dense(params, f"{name}.output", merged), weights


def _real(words: jax.Array) -> jax.Array:
    """The mask (n, 1, 1, S) of keys that are no padding."""
    return (words != PAD)[:, None, None, :]


def _kept(layer: str, x: jax.Array) -> jax.Array:
    return x


def _dropout(rate: float, key: jax.Array | None, given: Arrays) -> _Drop:
    """A function that drops with the layer's mask, or else the next of the step's."""
    numbers = itertools.count()
    return lambda layer, x: dropout(rate, x, key, next(numbers), layer, given)


def _canonical(batch: Arrays, name: str, x: jax.Array) -> jax.Array:
    """A tap (n, T, ...) with 0 at padding: of the source, or of the targets."""
    if not x.ndim:
        return x
    of_source = name.startswith("encoder") or ".cross.key" in name or ".cross.value" in name
    return x * (batch["source" if of_source else "targets"] != PAD)[..., None]


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    given = partial(forward, task.config), partial(loss, task.config)
    return Program(task, state, seed, *given, canonical=_canonical)
