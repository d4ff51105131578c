"""Encoder-decoder transformer in NumPy, with its backward pass by hand.

Vaswani et al. 2017, with the layer norms before the sublayers (Xiong et al. 2020) and the logits
tied to the decoder's embedding (Press & Wolf 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from backends.numpy.arrays import xp
from backends.numpy.attention import Layout, Memory, causal_mask, padding_mask
from backends.numpy.dropout import Dropping
from backends.numpy.engine import Backward, Key, Program
from backends.numpy.sublayers import Back, Sublayer, Sublayers
from backends.numpy.vocabulary import (
    cross_entropy,
    smoothed_cross_entropy,
    smoothed_cross_entropy_backward,
    tied_logits,
)
from tasks.task import MASK, Array, State, Task, Tree

PAD, BEGIN, END, UNKNOWN = range(4)
BANNED = [PAD, BEGIN, UNKNOWN]
"""Never written by greedy decoding."""


def forward(config: Any, params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """The outputs for each of the four kinds of batch that ``Transformer``, the task, lists."""
    model = Sublayers(config, params)
    if "targets" in batch:
        y, targets, _ = _decode_targets(model, batch)
        nats = xp.zeros(batch["targets"].shape, y.dtype)
        nats[batch["targets"] != PAD] = cross_entropy(y, *_output(model), targets)
        return {"nats": nats}
    if "inputs" in batch:
        return _logits_and_weights(model, batch)
    if "memory" in batch:
        return _next_word(model, batch)
    return {"tokens": _greedy(model, batch["source"])}


def loss(
    config: Any, params: Tree, buffers: Tree, batch: Tree, key: Key | None
) -> tuple[Array, Tree, Backward]:
    """Mean cross-entropy with label smoothing over the real targets, and the way back."""
    model = Sublayers(config, params, Dropping(config.dropout, key, _masks_of_rows(batch)))
    y, targets, back = _decode_targets(model, batch)
    smoothing = config.label_smoothing
    value, saved = smoothed_cross_entropy(y, *_output(model), targets, smoothing)

    def backward(cotangent: float) -> Tree:
        dy, dw, db = smoothed_cross_entropy_backward(cotangent, saved)
        model.gradients = {"decoder.embedding.kernel": dw, "output.bias": db}
        back(dy)
        return model.gradients

    return value, buffers, backward


def _masks_of_rows(batch: Tree) -> Tree:
    """Masks of dropout for the real words, (rows, width) by ``dropout/<layer>``, if given.

    The rows of the encoder are those of the source, the rows of the decoder those of the targets.
    """
    stacks = {f"{MASK}encoder.": "source", f"{MASK}decoder.": "targets"}
    return {
        layer: kept[batch[words] != PAD]
        for stack, words in stacks.items()
        for layer, kept in batch.items()
        if layer.startswith(stack)
    }


def _output(model: Sublayers) -> tuple[Array, Array]:
    return model.params["decoder.embedding.kernel"], model.params["output.bias"]


def _decode_targets(model: Sublayers, batch: Tree) -> tuple[Array, Array, Callable[[Array], None]]:
    """Decodes the real words alone: y (rows, width), the targets (rows,), and the way back.

    No word is changed by padding behind it, so that leaving it out changes nothing.
    """
    targets = batch["targets"]
    german, english = Layout(batch["source"] != PAD), Layout(targets != PAD)
    rows, back_encoder = _encode(model, batch["source"], german)
    memory, back_memory = _remember(model, rows, batch["source"], german)
    y, back_decoder = _decode(model, batch["inputs"], english, memory)

    def back(dy: Array) -> None:
        back_decoder(dy)
        back_encoder(back_memory(memory.gradients))

    return y, targets[english.real], back


def _encode(
    model: Sublayers, words: Array, layout: Layout
) -> tuple[Array, Callable[[Array], None]]:
    """The encoder's output (rows, width) for words (n, S)."""
    x, back_embedding = model.embed("encoder", words[layout.real], layout.places)
    attend = partial(model.self_attention, layout, padding_mask(words != PAD, x.dtype))
    sublayers: dict[str, Sublayer] = {}
    for i in range(model.config.layers):
        sublayers[f"encoder.{i}.self"] = attend
        sublayers[f"encoder.{i}.feedforward"] = model.feedforward
    y, back_stack = model.stack("encoder", sublayers, x)
    return y, lambda dy: back_embedding(back_stack(dy))


def _remember(model: Sublayers, rows: Array, source: Array, layout: Layout) -> tuple[Memory, Back]:
    """The keys and values of every cross-attention, as one product of the encoder's output.

    The way back takes their gradients (n, S, layers 2 width).
    """
    layers = range(model.config.layers)
    names = [f"decoder.{i}.cross.{part}" for i in layers for part in ("key", "value")]
    projected, back_projected = model.dense(tuple(names), rows)
    mask = padding_mask(source != PAD, rows.dtype)
    memory = Memory(layout.spread(projected), mask, len(layers), model.config.heads)
    return memory, lambda dprojected: back_projected(layout.gather(dprojected))


def _decode(
    model: Sublayers, words: Array, layout: Layout, memory: Memory
) -> tuple[Array, Callable[[Array], None]]:
    """The decoder's output (rows, width) for words (n, T)."""
    x, back_embedding = model.embed("decoder", words[layout.real], layout.places)
    attend = partial(model.self_attention, layout, causal_mask(words.shape[1], x.dtype))
    y, back_stack = _decoder_stack(model, layout, memory, [attend] * model.config.layers, x)
    return y, lambda dy: back_embedding(back_stack(dy))


def _decoder_stack(
    model: Sublayers, layout: Layout, memory: Memory, attend: list[Sublayer], x: Array
) -> tuple[Array, Back]:
    """The decoder with the self-attention of every layer given."""
    sublayers: dict[str, Sublayer] = {}
    for i, self_attention in enumerate(attend):
        sublayers[f"decoder.{i}.self"] = self_attention
        sublayers[f"decoder.{i}.cross"] = partial(model.cross_attention, layout, memory, i)
        sublayers[f"decoder.{i}.feedforward"] = model.feedforward
    return model.stack("decoder", sublayers, x)


def _logits_and_weights(model: Sublayers, batch: Tree) -> Tree:
    """Logits, memory and attention weights, of padded positions too."""
    source, inputs = batch["source"], batch["inputs"]
    german, english = Layout(xp.full(source.shape, True)), Layout(xp.full(inputs.shape, True))
    rows, _ = _encode(model, source, german)
    y, _ = _decode(model, inputs, english, _remember(model, rows, source, german)[0])
    logits = tied_logits(y, *_output(model))
    weights = {
        f"attention.{kind}": xp.stack(
            [
                w
                for name, w in model.weights.items()
                if name.startswith(stack) and attention in name
            ],
            axis=1,
        )
        for kind, stack, attention in (
            ("encoder", "encoder", ".self"),
            ("decoder", "decoder", ".self"),
            ("cross", "decoder", ".cross"),
        )
    }
    return {"logits": english.spread(logits), "memory": german.spread(rows), **weights}


def _next_word(model: Sublayers, batch: Tree) -> Tree:
    """One step of decoding, from keys and values that stay as they are."""
    source, encoded = batch["source"], batch["memory"]
    layout = Layout(xp.full(source.shape, True))
    memory, _ = _remember(model, layout.gather(encoded), source, layout)
    keys, values = batch["keys"].copy(), batch["values"].copy()
    logits = _step(model, memory, batch["last"], int(batch["place"]), keys, values)
    return {"logits": logits, "keys": keys, "values": values}


def _step(
    model: Sublayers, memory: Memory, last: Array, place: int, keys: Array, values: Array
) -> Array:
    """Logits (n, V) after the words ``last`` (n,) at ``place``.

    ``keys`` and ``values`` (n, layers, any, width) hold those before, and get those of ``place``.
    """
    x, _ = model.embed("decoder", last, xp.full(len(last), place))
    attend: list[Sublayer] = [
        partial(model.cached_attention, keys[:, i], values[:, i], place)
        for i in range(model.config.layers)
    ]
    y, _ = _decoder_stack(model, Layout(xp.full((len(last), 1), True)), memory, attend, x)
    return tied_logits(y, *_output(model))


def _greedy(model: Sublayers, source: Array) -> Array:
    """The most probable word after word, (n, min(S - 1 + decode_extra, decode_limit))."""
    config, layout = model.config, Layout(source != PAD)
    n, most = len(source), min(source.shape[1] - 1 + config.decode_extra, config.decode_limit)
    limits = xp.minimum(layout.real.sum(axis=1) - 1 + config.decode_extra, most)
    rows, _ = _encode(model, source, layout)
    memory, _ = _remember(model, rows, source, layout)
    keys, values = xp.empty((2, n, config.layers, most, config.width), rows.dtype)
    tokens = xp.full((n, most), PAD, xp.int32)
    last = xp.full(n, BEGIN)
    for place in range(most):
        running = (place < limits) & (last != END) & (last != PAD)
        if not running.any():
            break
        logits = _step(model, memory, last, place, keys, values)
        logits[:, BANNED] = -xp.inf
        last = xp.where(running, logits.argmax(axis=1), PAD)
        tokens[:, place] = last
    return tokens


def _canonical(batch: Tree, name: str, x: Array) -> Array:
    """Rows (rows, ...) as sentences (n, T, ...), 0 at padding: of the source, or of the targets."""
    if not x.ndim:
        return x
    of_source = name.startswith("encoder") or ".cross.key" in name or ".cross.value" in name
    return Layout(batch["source" if of_source else "targets"] != PAD).spread(x)


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    given = partial(forward, task.config), partial(loss, task.config)
    return Program(task, state, seed, *given, _canonical)
