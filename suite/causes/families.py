"""The families of operations: normalisations, activations, embeddings, attention, gates, losses.

Defaults were read in torch 2.13, Keras 3.15, JAX 0.10 and the documentation of Flax.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np
from scipy.special import erf

from suite.causes.operations import Family, Operation, Variant
from suite.causes.outputs import log_softmax, sigmoid, softmax
from tasks.task import MASK, Array

EPSILONS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12, 0.0)
Form = Callable[[Array, float], Array]
"""From a mean of squares and an epsilon to the divisor."""
FORMS: dict[str, Form] = {
    "inside the root": lambda v, e: np.sqrt(v + e),
    "outside the root": lambda v, e: np.sqrt(v) + e,
}


def _normalized(x: Array, axes: tuple[int, ...]) -> Iterator[Variant]:
    """x (..., C) without its mean, by its deviation, over ``axes``, in every form."""
    count = math.prod(x.shape[axis] for axis in axes)
    centred = x - x.mean(axis=axes, keepdims=True)
    squares = np.square(centred).sum(axis=axes, keepdims=True)
    for less, word in ((0, "biased"), (1, "unbiased")):
        if count <= less:
            continue
        for form, divisor in FORMS.items():
            for e in EPSILONS:
                with np.errstate(invalid="ignore", divide="ignore"):
                    y = centred / divisor(squares / (count - less), e)
                yield f"epsilon {e:g} {form} of the {word} variance", y
    root = np.sqrt(np.square(x).mean(axis=axes, keepdims=True) + 1e-6)
    yield "the root of the mean square (RMSNorm)", x / root


def _affine(op: Operation, y: Array) -> Array:
    scale, offset = op.leaf("scale"), op.leaf("offset")
    return (y if scale is None else y * scale) + (0.0 if offset is None else offset)


class LayerNorm(Family):
    """Layer normalisation over the last axis."""

    name = "layer norm: epsilon or variance"
    remedy = (
        "epsilon is 1e-5 in torch.nn.LayerNorm (eps), 1e-3 in Keras' LayerNormalization, 1e-6 in "
        "flax.linen.LayerNorm; all take the biased variance with epsilon inside the root"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        if "norm" in op.name:
            for _, x in op.like():
                for said, y in _normalized(x, (x.ndim - 1,)):
                    yield said, _affine(op, y)
                yield "no normalisation", x


class BatchNorm(Family):
    """Batch normalisation over all axes but the last."""

    name = "batch norm: epsilon or variance"
    remedy = (
        "epsilon is 1e-5 in torch.nn.BatchNorm1d (eps) and flax.linen.BatchNorm, 1e-3 in Keras' "
        "BatchNormalization; all normalise by the biased variance"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        if "norm" in op.name and op.leaf("mean") is None:
            for _, x in op.like():
                if x.ndim > 1:
                    for said, y in _normalized(x, tuple(range(x.ndim - 1))):
                        yield said, _affine(op, y)


class UnitLength(Family):
    """Vectors of the last axis that are brought to the length 1, or the root of their width."""

    name = "L2 normalisation: epsilon, or none"
    remedy = (
        "torch.nn.functional.normalize has max(norm, 1e-12); the epsilon of tf.math.l2_normalize is"
        " of the square, max(square, 1e-12); by hand it is often added to the norm"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        for _, x in op.like():
            square = np.square(x).sum(axis=-1, keepdims=True)
            norm, width = np.sqrt(square), x.shape[-1] ** 0.5
            divisors: dict[str, Array] = {"no normalisation": np.ones_like(norm)}
            for e in (1e-12, 1e-10, 1e-8, 1e-6, 1e-5):
                divisors |= {
                    f"norms at least {e:g}": np.maximum(norm, e),
                    f"squared norms at least {e:g}": np.sqrt(np.maximum(square, e)),
                    f"{e:g} added to the norm": norm + e,
                    f"{e:g} added to the squared norm": np.sqrt(square + e),
                }
            for said, divisor in divisors.items():
                yield said, x / divisor
                yield f"{said}, times the root of the width", width * x / divisor


def _tanh_gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "no activation": lambda x: x,
    "ReLU": lambda x: np.maximum(x, 0),
    "leaky ReLU with slope 0.01": lambda x: np.where(x > 0, x, 0.01 * x),
    "leaky ReLU with slope 0.1": lambda x: np.where(x > 0, x, 0.1 * x),
    "leaky ReLU with slope 0.2": lambda x: np.where(x > 0, x, 0.2 * x),
    "leaky ReLU with slope 0.3": lambda x: np.where(x > 0, x, 0.3 * x),
    "GELU": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "GELU by tanh": _tanh_gelu,
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "SiLU": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.logaddexp(0, x),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "the absolute value": np.abs,
    "the square": np.square,
}


class Activation(Family):
    """Another activation, on an input or on a dense layer of it; or another bias."""

    name = "activation: another, or another form"
    remedy = (
        "GELU is exact by default in torch.nn.functional.gelu and keras.activations.gelu, by tanh "
        "in jax.nn.gelu and keras.ops.gelu (approximate); the slope of leaky ReLU is 0.01 in torch "
        "and JAX and 0.2 in Keras 3"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        for _, x in op.like():
            yield from ((said, function(x)) for said, function in ACTIVATIONS.items())
        kernel, bias = op.leaf("kernel"), op.leaf("bias")
        if kernel is None or kernel.ndim != 2:
            return
        for _, x in op.inputs:
            if x.ndim > 1 and x.shape[-1] == kernel.shape[0]:
                for word, b in (("", bias), (" without the bias", None)):
                    y = x @ kernel + (0.0 if b is None else b)
                    for said, function in ACTIVATIONS.items():
                        yield f"{said}{word}", function(y)


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
        "torch's scaled_dot_product_attention (scale) and of Keras' MultiHeadAttention (key_dim); "
        "T5 does not scale; a causal mask leaves the diagonal in (is_causal, use_causal_mask, "
        "tril with k=0); heads are blocks of neighbouring columns"
    )
    HEADS = (1, 2, 4, 8, 16)

    def variants(self, op: Operation) -> Iterator[Variant]:
        q, k, v = (self._of(op, name) for name in ("query", "key", "value"))
        if q is None or k is None or v is None or q.ndim != 3:
            return
        padding = ~k.any(axis=-1)  # canonical layouts hold 0 there
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
        for split, word in ((_neighbours, ""), (_strided, ", heads of every n-th column")):
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
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


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
        "TensorFlow 1; i, o, f, g in ONNX; Haiku and TensorFlow 1 add 1 to the forget gate at run "
        "time, Keras begins its bias at 1 (unit_forget_bias)"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        w, u, b = op.leaf("kernel"), op.leaf("recurrent"), op.leaf("bias")
        if w is None or u is None or b is None or op.reference.ndim != 3:
            return
        h0, c0 = op.before.get("carry.hidden"), op.before.get("carry.cell")
        for x in self._inputs(op, w):
            begin = np.zeros((x.shape[1], u.shape[0]))
            state = (begin if h0 is None else h0, begin if c0 is None else c0)
            if state[0].shape != begin.shape:
                continue
            yield "a bias that counts twice", _lstm(x @ w + 2 * b, u, state, *STANDARD)
            for said, *form in _cells():
                yield said, _lstm(x @ w + b, u, state, *form)

    def _inputs(self, op: Operation, w: Array) -> Iterator[Array]:
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


STANDARD = ("ifgo", 0.0, "tanh", "tanh")
"""The order of the gates, what is added to the forget gate, and the activations of g and c."""


def _cells() -> Iterator[tuple[str, str, float, str, str]]:
    for letters in permutations("ifgo"):
        order = "".join(letters)
        yield f"gates in the order {', '.join(order)}", order, 0.0, "tanh", "tanh"
    yield "1 more in the forget gate", "ifgo", 1.0, "tanh", "tanh"
    yield "a sigmoid for the candidate", "ifgo", 0.0, "sigmoid", "tanh"
    yield "no tanh on the cell", "ifgo", 0.0, "tanh", "no activation"


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


class Smoothing(Family):
    """The cross-entropy of logits (..., classes) and whole numbers: smoothing, mean, logits."""

    name = "cross-entropy: smoothing, mean or logits"
    remedy = (
        "label_smoothing of torch.nn.CrossEntropyLoss and Keras spreads over all classes, "
        "tensor2tensor over the others; all have 0 by default; torch's ignore_index is -100, not "
        "the padding; torch and optax take logits, Keras probabilities unless from_logits=True"
    )
    AMOUNTS = (0.0, 0.1, 0.05, 0.2)

    def variants(self, op: Operation) -> Iterator[Variant]:
        if op.name != "loss":
            return
        for x in self._logits(op):
            for labels in op.batch.values():
                if labels.dtype.kind in "iu" and labels.shape == x.shape[:-1] and x.ndim > 1:
                    yield from self._of(x, labels)
                elif labels.dtype.kind in "iu" and labels.T.shape == x.shape[:-1] and x.ndim > 2:
                    yield from self._of(x, labels.T)

    def _logits(self, op: Operation) -> Iterator[Array]:
        """The values before, and the last of them by a table that is tied to an output's bias."""
        for _, x in op.inputs:
            yield x
        _, last = next(op.inputs)
        for table in op.params.values():
            for bias in op.params.values():
                if bias.ndim == 1 and table.shape == (len(bias), *last.shape[-1:]):
                    yield last @ table.T + bias

    def _of(self, x: Array, labels: Array) -> Iterator[Variant]:
        classes = x.shape[-1]
        if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
            return
        real = labels != 0 if labels.ndim > 1 else np.ones(labels.shape, bool)
        for given, log in (("", log_softmax(x)), (" of probabilities", log_softmax(softmax(x)))):
            target = np.take_along_axis(log, labels[..., None], axis=-1)[..., 0]
            whole = log.sum(axis=-1)
            for s in self.AMOUNTS:
                spread = {
                    f"smoothing {s:g} over all classes": (1 - s) * target + s / classes * whole,
                    f"smoothing {s:g} over the other classes": (1 - s) * target
                    + s / (classes - 1) * (whole - target),
                    f"smoothing {s:g} over all classes but the padding's": (1 - s) * target
                    + s / (classes - 1) * (whole - log[..., 0]),
                }
                for said, terms in spread.items() if s else [("no smoothing", target)]:
                    for mean, value in _means(-terms, real):
                        yield f"{said}{given}{mean}", np.asarray(value)


def _means(terms: Array, real: Array) -> Iterator[tuple[str, float]]:
    yield "", float(terms.mean())
    yield ", its sum", float(terms.sum())
    yield ", its sum by the samples", float(terms.sum() / len(terms))
    if not real.all() and real.any():
        yield ", its mean over what is not padding", float(terms[real].mean())
        yield ", at the padding 0, its mean over all places", float((terms * real).mean())


class Dropout(Family):
    """Dropout of given masks: what is kept, by what it is scaled."""

    name = "dropout: scale or rate"
    remedy = (
        "torch.nn.Dropout, Keras and Flax drop at the rate and divide by 1 - rate in training; "
        "keep_prob of TensorFlow 1 is the part that is kept; Srivastava et al. 2014 scale in "
        "evaluation instead"
    )
    RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)

    def variants(self, op: Operation) -> Iterator[Variant]:
        for name, kept in op.batch.items():
            if not name.startswith(MASK) or kept.shape != op.reference.shape:
                continue
            for _, x in op.like():
                yield "nothing is dropped", x
                yield "nothing is scaled up", x * kept
                for rate in self.RATES:
                    yield f"divided by 1 - {rate:g}", x * kept / (1 - rate)


FAMILIES: tuple[Family, ...] = (
    LayerNorm(),
    BatchNorm(),
    UnitLength(),
    Activation(),
    Embedding(),
    Attention(),
    Gates(),
    Smoothing(),
    Dropout(),
)
"""All that are known."""
