"""Families of what is computed over sequences: embeddings, attention, recurrent networks.

Defaults were read in torch 2.13, Keras 3.15, JAX 0.10 and the documentation of Flax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from suite.causes.activations import ACTIVATIONS
from suite.causes.operations import Family, Operation, Variant
from suite.causes.outputs import sigmoid
from tasks.task import Array


class Embedding(Family):
    """Rows of a table, scaled or not, with positions in one form or another."""

    name = "embedding: scale or positions"
    remedy = (
        "nn.Embedding, Keras' Embedding and flax.linen.Embed do not scale; Vaswani et al. 2017 "
        "scale by the root of the width; sines and cosines alternate there, and stand in halves in "
        "tensor2tensor and fairseq, whose positions begin behind the padding's"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        table = op.leaf("kernel")
        if table is None or table.ndim != 2:
            return
        length = op.reference.shape[1] if op.reference.ndim == 3 else 0
        for ids in op.batch.values():
            if ids.dtype.kind not in "iu" or not 0 <= ids.min(initial=0) <= ids.max(
                initial=0
            ) < len(table):
                continue
            for words in (ids, ids[:, :-1], ids[:, 1:]) if ids.ndim == 2 else (ids,):
                rows = table[words]
                for scale, said in (
                    (table.shape[1] ** 0.5, "scaled by the root of the width"),
                    (1.0, "not scaled"),
                ):
                    yield said, scale * rows
                    if length and rows.shape[1] == length:
                        for form, positions in sinusoids(length, table.shape[1]):
                            yield f"{said}, {form}", scale * rows + positions


def sinusoids(length: int, width: int) -> Iterator[Variant]:
    """Sinusoids of positions, (length, width), in the forms that are in use."""
    for begin, where in ((0, "positions from 0"), (1, "positions from 1")):
        at = np.arange(begin, begin + length)[:, None]
        column = np.arange(width)
        paired = at / 10_000 ** ((column - column % 2) / width)
        yield (
            f"sines and cosines in turns, {where}",
            np.where(column % 2, np.cos(paired), np.sin(paired)),
        )
        half = paired[:, ::2]
        yield (
            f"sines and cosines in halves, {where}",
            np.concatenate([np.sin(half), np.cos(half)], axis=1)[:, :width],
        )
        own = at / 10_000 ** (column / width)
        yield (
            f"a frequency for every column, {where}",
            np.where(column % 2, np.cos(own), np.sin(own)),
        )


class Attention(Family):
    """Attention of queries, keys and values (n, T, width): scale, causal mask, heads."""

    name = "attention: scale, mask or heads"
    remedy = (
        "scores are divided by the root of a head's width, the default of "
        "torch's scaled_dot_product_attention (scale) and of Keras' MultiHeadAttention (key_dim). "
        "T5 does not scale; a causal mask leaves the diagonal in (is_causal, use_causal_mask, "
        "tril with k=0); heads are blocks of neighbouring columns"
    )
    HEADS = (1, 2, 4, 8, 16)

    def variants(self, op: Operation) -> Iterator[Variant]:
        q, k, v = (self._of(op, name) for name in ("query", "key", "value"))
        if q is None or k is None or v is None or q.ndim != 3:
            return
        padding = np.asarray(~k.any(axis=-1))  # canonical layouts hold 0 there
        for heads in self.HEADS:
            if q.shape[-1] % heads == 0:
                yield from self._with(heads, q, k, v, padding)

    def _of(self, op: Operation, name: str) -> Array | None:
        stem = op.name.partition(" (")[0].rpartition(".")[0]
        return op.before.get(f"{stem}.{name}")

    def _with(self, heads: int, q: Array, k: Array, v: Array, padding: Array) -> Iterator[Variant]:
        size = q.shape[-1] // heads
        scales = {
            "scaled by the root of a head's width": size**-0.5,
            "not scaled": 1.0,
            "scaled by a head's width": 1 / size,
            "scaled by the root of the whole width": q.shape[-1] ** -0.5,
        }
        ways = {f", {heads} heads": _neighbours, f", {heads} heads of every n-th column": _strided}
        for word, split in ways.items():
            queries, keys, values = (split(a, heads) for a in (q, k, v))
            scores = queries @ keys.swapaxes(-1, -2)
            for scale, factor in scales.items():
                for mask, seen in _masks(scores.shape[-2:]):
                    y = _softmax_where(factor * scores, seen & ~padding[:, None, None, :]) @ values
                    yield f"{scale}{mask}{word}", _joined(y, split)
                    # keys at the padding are not tapped: rows that see them cannot be known
                    blind = (seen & padding[:, None, None, :]).any(axis=-1, keepdims=True)
                    if blind.any() and mask:
                        without = np.where(blind, np.nan, y)
                        yield f"{scale}{mask}{word}, padding seen", _joined(without, split)


def _neighbours(x: Array, heads: int) -> Array:
    """x (n, T, width) as (n, heads, T, size), each head a block of columns."""
    split: Array = x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)
    return split


def _strided(x: Array, heads: int) -> Array:
    """x (n, T, width) as (n, heads, T, size), each head every n-th column."""
    return x.reshape(*x.shape[:2], -1, heads).transpose(0, 3, 1, 2)


def _joined(y: Array, split: Callable[[Array, int], Array]) -> Array:
    """y (n, heads, T, size) as (n, T, width), its heads as blocks, or where ``split`` took them."""
    n, _, length, _ = y.shape
    order = (0, 2, 1, 3) if split is _neighbours else (0, 2, 3, 1)
    return y.transpose(order).reshape(n, length, -1)


def _masks(shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    rows, columns = shape
    yield "", np.ones((rows, columns), bool)
    if rows == columns:
        yield ", causal", np.tri(rows, columns, 0, dtype=bool)
        yield ", causal and one place too far", np.tri(rows, columns, 1, dtype=bool)
        yield ", causal without the diagonal", np.tri(rows, columns, -1, dtype=bool)


def _softmax_where(scores: Array, kept: Array) -> Array:
    """Softmax over the last axis of what is kept; 0 where nothing is."""
    scores = np.where(kept, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    e = np.exp(scores - np.where(np.isfinite(top), top, 0.0))
    total = e.sum(axis=-1, keepdims=True)
    return np.asarray(e / np.where(total == 0, 1.0, total))


class Gates(Family):
    """An LSTM over (T, n, H) or (n, T, H): order of gates, forget bias, activations."""

    name = "LSTM: gates, forget bias or activations"
    remedy = (
        "the gates are i, f, g, o in torch.nn.LSTM, Keras and here; i, g, f, o in Haiku and "
        "TensorFlow 1; i, o, f, g in ONNX. Haiku and TensorFlow 1 add 1 to the forget gate at run "
        "time, Keras begins its bias at 1 (unit_forget_bias)"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        w, u, b = op.leaf("kernel"), op.leaf("recurrent"), op.leaf("bias")
        if w is None or u is None or b is None or op.reference.ndim != 3:
            return
        if u.shape[1] != 4 * len(u):
            return
        h0, c0 = op.before.get("carry.hidden"), op.before.get("carry.cell")
        for x in _inputs(op, w):
            begin = np.zeros((x.shape[1], u.shape[0]))
            state = (begin if h0 is None else h0, begin if c0 is None else c0)
            if state[0].shape != begin.shape:
                continue
            yield "a bias that counts twice", _lstm(x @ w + 2 * b, u, state, *STANDARD)
            for said, form in _cells():
                yield said, _lstm(x @ w + b, u, state, *form)


Form = tuple[str, float, str, str]
"""The order of the gates, what is added to the forget gate, and the activations of g and c."""
STANDARD: Form = ("ifgo", 0.0, "tanh", "tanh")


def _cells() -> Iterator[tuple[str, Form]]:
    for letters in permutations("ifgo"):
        order = "".join(letters)
        yield f"gates in the order {', '.join(order)}", (order, 0.0, "tanh", "tanh")
    yield "1 more in the forget gate", ("ifgo", 1.0, "tanh", "tanh")
    yield "a sigmoid for the candidate", ("ifgo", 0.0, "sigmoid", "tanh")
    yield "no tanh on the cell", ("ifgo", 0.0, "tanh", "no activation")


def _lstm(
    projected: Array,
    u: Array,
    state: tuple[Array, Array],
    order: str,
    more: float,
    inner: str,
    outer: str,
) -> Array:
    """Outputs (T, n, H) of gates ``projected`` (T, n, 4 H) and the recurrent kernel u (H, 4 H)."""
    h, c = state
    outputs = []
    for z in projected:
        gates = dict(zip(order, np.split(z + h @ u, 4, axis=-1), strict=True))
        c = sigmoid(gates["f"] + more) * c + sigmoid(gates["i"]) * ACTIVATIONS[inner](gates["g"])
        h = sigmoid(gates["o"]) * ACTIVATIONS[outer](c)
        outputs.append(h)
    return np.stack(outputs)


def _inputs(op: Operation, w: Array) -> Iterator[Array]:
    """Inputs (T, n, in): values before, or embedded ids of the batch."""
    length, n = op.reference.shape[:2]
    for _, x in op.inputs:
        if x.shape == (length, n, len(w)):
            yield x
    for name, table in op.params.items():
        if name.endswith("embedding.kernel") and table.shape[1] == len(w):
            for ids in op.batch.values():
                if ids.dtype.kind in "iu" and ids.shape == (n, length):
                    yield table[ids.T]


class Elman(Family):
    """A plain recurrent network over (T, n, H) or (n, T, H): its activation, its biases."""

    name = "plain recurrent network: activation or biases"
    remedy = (
        "nn.RNN and Keras' SimpleRNN take tanh by default; nn.RNN adds two biases, of which only "
        "the sum matters: train one, hold the other at 0"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        w, u, b = op.leaf("kernel"), op.leaf("recurrent"), op.leaf("bias")
        if w is None or u is None or b is None or op.reference.ndim != 3:
            return
        if u.shape != (len(u), len(u)):
            return
        h0 = op.before.get("carry.hidden")
        for x in _inputs(op, w):
            begin = np.zeros((x.shape[1], len(u))) if h0 is None else h0
            if begin.shape != (x.shape[1], len(u)):
                continue
            for times, biases in ((1, "one bias"), (2, "a bias that counts twice"), (0, "no bias")):
                for said in ("tanh", "sigmoid", "ReLU"):
                    states = _elman(x @ w + times * b, u, begin, ACTIVATIONS[said])
                    yield f"{said}, {biases}", states


def _elman(projected: Array, u: Array, h: Array, activation: Callable[[Array], Array]) -> Array:
    """Outputs (T, n, H) of what the inputs add, (T, n, H), and the recurrent kernel u (H, H)."""
    outputs = []
    for z in projected:
        h = activation(z + h @ u)
        outputs.append(h)
    return np.stack(outputs)
