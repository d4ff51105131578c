"""Layers of a transformer for ``torch.nn``, on the real words of sentences of several lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import backends.torch
from backends.torch.dropout import Dropout
from backends.torch.taps import tap
from tasks.task import MASK

ALIGNED = 16
"""Columns: products whose rows begin at a cache line are faster, the logits' by a third."""


class Layout:
    """Where the rows of a matrix (rows, channels) stand in sentences (n, T).

    Without ``real`` (n, T), every position has its row; with it, the real positions alone: layers
    that treat each position by itself then spend nothing on padding. If ``padded``, padding has its
    rows nevertheless, and shapes do not depend on the sentences. ``masks`` (n, T, channels) may say
    by ``dropout/<layer>`` what dropout keeps.
    """

    def __init__(
        self,
        shape: torch.Size | tuple[int, int],
        real: torch.Tensor | None = None,
        padded: bool = False,
        masks: Mapping[str, torch.Tensor] | None = None,
    ):
        self._shape, self._real, self._masks = shape, real, masks or {}
        self._rows = None if real is None or padded else real.flatten().nonzero()[:, 0]

    def weights(self, like: torch.Tensor) -> torch.Tensor:
        """The weight of each row (rows,) of ``like`` (rows, ...) in a mean over the real ones."""
        if self._rows is not None or self._real is None:
            return like.new_full(like.shape[:1], 1 / len(like))
        return self._real.flatten().to(like.dtype) / self._real.sum()

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, ...) from (n, T, ...)."""
        flat = x.flatten(0, 1)
        return flat if self._rows is None else flat.index_select(0, self._rows)

    def spread(self, x: torch.Tensor) -> torch.Tensor:
        """(n, T, ...) from (rows, ...), 0 at padding."""
        if self._rows is not None:
            n, length = self._shape
            x = x.new_zeros(n * length, *x.shape[1:]).index_copy_(0, self._rows, x)
        return x.view(*self._shape, *x.shape[1:])

    def drop(self, dropout: Dropout, x: torch.Tensor) -> torch.Tensor:
        """``x`` (rows, channels) with dropout, by its mask if that is given."""
        mask = self._masks.get(f"{MASK}{dropout.layer}")
        y: torch.Tensor = dropout(x) if mask is None else dropout(x, self.pack(mask))
        return y


class Embedding(nn.Embedding):
    """Embeddings times sqrt(width), plus the position's sinusoids.

    P[p, 2i] = sin(p / 10000^(2i / width)), P[p, 2i + 1] = cos(the same): Vaswani et al. 2017,
    sections 3.4 and 3.5.
    """

    positions: torch.Tensor

    def __init__(self, words: int, width: int, longest: int):
        super().__init__(words, width)
        places = torch.arange(longest, dtype=torch.float64)[:, None]
        angles = places / 10_000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
        waves = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
        self.register_buffer("positions", waves, persistent=False)

    def forward(self, ids: torch.Tensor, first: int = 0) -> torch.Tensor:
        """(n, T, width) from words (n, T) that stand at position ``first`` and those after it."""
        x: torch.Tensor = super().forward(ids) * self.embedding_dim**0.5
        return x + self.positions[first : first + ids.shape[1]]


class DotProductAttention(nn.Module):
    """softmax(q k^T / sqrt(channels) + mask) v for every head: Vaswani et al. 2017, equation 1."""

    def __init__(self, heads: int):
        super().__init__()
        self.heads = heads

    def forward(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """(n, T, width) from queries (n, T, width), keys and values (n, S, width).

        ``mask`` broadcasts to (n, heads, T, S): 0, or minus infinity where nothing is to be seen.
        """
        q, k, v = self._split(q), self._split(k), self._split(v)
        return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)

    def weights(self, q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The weights of the values, (n, heads, T, S)."""
        q, k = self._split(q), self._split(k)
        scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
        return torch.softmax(scores + mask, dim=3)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


@dataclass(frozen=True)
class Source:
    """The ``keys`` and ``values`` (n, S, width) of another sentence, with ``mask`` (n, 1, 1, S)."""

    keys: torch.Tensor
    values: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class Past:
    """A layer's ``keys`` and ``values`` (n, limit, width) of the positions before ``place``."""

    keys: torch.Tensor
    values: torch.Tensor
    place: int

    def extended(self, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values (n, place + 1, width), once ``k`` and ``v`` (n, 1, width) are in."""
        end = self.place + 1
        self.keys[:, self.place : end] = k
        self.values[:, self.place : end] = v
        return self.keys[:, :end], self.values[:, :end]


class _Attention(nn.Module):
    """Multi-head attention: Vaswani et al. 2017, section 3.2.2.

    Layer norm, Ba et al. 2016, equation 4, comes first: Xiong et al. 2020, figure 1 (b).
    """

    def __init__(self, width: int, heads: int, epsilon: float):
        super().__init__()
        self.norm = nn.LayerNorm(width, epsilon)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.attend = DotProductAttention(heads)
        # Softmax does not see what all keys share: this gradient is 0 but for rounding, by which
        # Adam would take whole steps.
        self.key.bias.register_hook(torch.zeros_like)


class SelfAttention(_Attention):
    """Attention of the positions of a sentence to each other."""

    def forward(
        self, x: torch.Tensor, layout: Layout, mask: torch.Tensor | None, past: Past | None = None
    ) -> torch.Tensor:
        """(rows, width) from (rows, width), to which the ``past`` is seen too."""
        x = self.norm(x)
        q, k, v = (layout.spread(part(x)) for part in (self.query, self.key, self.value))
        if past is not None:
            k, v = past.extended(k, v)
        y: torch.Tensor = self.output(layout.pack(self.attend(q, k, v, mask)))
        return y


class CrossAttention(_Attention):
    """Attention of the positions of one sentence to those of another."""

    def source(self, memory: torch.Tensor, layout: Layout, mask: torch.Tensor) -> Source:
        """The source to attend to, from the encoder's output ``memory`` (rows, width)."""
        return Source(layout.spread(self.key(memory)), layout.spread(self.value(memory)), mask)

    def forward(self, x: torch.Tensor, layout: Layout, source: Source) -> torch.Tensor:
        """(rows, width) from (rows, width)."""
        q = layout.spread(self.query(self.norm(x)))
        attended = self.attend(q, source.keys, source.values, source.mask)
        y: torch.Tensor = self.output(layout.pack(attended))
        return y


class FeedForward(nn.Module):
    """relu(norm(x) w1 + b1) w2 + b2: Vaswani et al. 2017, equation 2, with the norm before it."""

    def __init__(self, width: int, hidden: int, epsilon: float):
        super().__init__()
        self.norm = nn.LayerNorm(width, epsilon)
        self.hidden = nn.Linear(width, hidden)
        self.output = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, width) from (rows, width)."""
        h = tap("hidden_activation", F.relu(self.hidden(self.norm(x)), inplace=True))
        y: torch.Tensor = self.output(h)
        return y


class TiedDense(nn.Module):
    """Dense onto words, whose kernel is their embedding (words, width): Press & Wolf 2017."""

    def __init__(self, words: int):
        super().__init__()
        self.bias = nn.Parameter(torch.empty(words))

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Logits (rows, words) from (rows, width)."""
        return F.linear(x, embedding, self.bias)

    def loss(
        self,
        x: torch.Tensor,
        embedding: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        smoothing: float,
    ) -> torch.Tensor:
        """Cross-entropy with label smoothing of these logits, mean by ``weights`` (rows,).

        ``targets`` (rows,) are int64, the weights sum to 1.
        """
        if backends.torch.autocast:  # which casts within a function of our own nothing
            logits = self(x, embedding)
            losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
            return weights @ losses
        value: torch.Tensor = SmoothedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            x, embedding, self.bias, targets, weights, smoothing
        )
        return value


class SmoothedCrossEntropy(torch.autograd.Function):
    """The weighted mean of -[(1 - s) log p(target) + s / V sum_v log p(v)], p = softmax(x w^T + b).

    Szegedy et al. 2016, section 7. ``F.cross_entropy`` reads the logits (rows, V) several times
    over for the same; here, the probabilities become the logits' gradient, and the sum of the
    logits is that of ``w`` and ``b`` over V.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        w: torch.Tensor,
        b: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        smoothing: float,
    ) -> torch.Tensor:
        words, column = len(w), targets[:, None]
        mean = x @ w.mean(dim=0) + b.mean()
        missing = -words % ALIGNED
        w = F.pad(w, (0, 0, 0, missing))
        logits = F.linear(x, w, F.pad(b, (0, missing), value=-torch.inf))
        chosen, top = logits.gather(1, column)[:, 0], logits.amax(dim=1)
        p = torch.softmax(logits, dim=1)
        logsumexp = top - p.amax(dim=1).log()  # the largest p is exp(top - logsumexp)
        p.sub_(smoothing / words).scatter_add_(1, column, p.new_full(column.shape, smoothing - 1))
        ctx.save_for_backward(x, w, p, weights)
        ctx.words = words
        return weights @ (logsumexp - (1 - smoothing) * chosen - smoothing * mean)

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, w, dlogits, weights = ctx.saved_tensors
        scale = (dy * weights)[:, None]
        dw = dlogits.T @ (x * scale)
        db = dlogits.T @ scale[:, 0]
        return (dlogits @ w).mul_(scale), dw[: ctx.words], db[: ctx.words], None, None, None
