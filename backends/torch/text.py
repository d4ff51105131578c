"""Layers for ``torch.nn`` on words and what they are fed to."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import backends.torch


class BagDense(nn.Module):
    """Dense of a bag of words: the sum of the weight's rows that a bag chooses, plus the bias.

    ``weight`` (words, out), ``bias`` (out,); the program fills them.
    """

    def __init__(self, words: int, out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(words, out))
        self.bias = nn.Parameter(torch.empty(out))

    def forward(
        self,
        words: torch.Tensor,
        offsets: torch.Tensor,
        reviews: torch.Tensor,
        values: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(n, out) from ``words`` (count,), ``offsets`` (n + 1,), each word's bag and what it
        counts (count,), which else is 1.

        In a graph, whose shapes do not depend on the words, bag n holds those to be left out.
        """
        if backends.torch.mode == "graph":
            rows = self.weight.index_select(0, words)
            if values is not None:
                rows = rows * values[:, None]
            sums = rows.new_zeros(len(offsets), rows.shape[1]).index_add(0, reviews, rows)
            return sums[:-1] + self.bias
        y: torch.Tensor = BagProduct.apply(  # type: ignore[no-untyped-call]
            self.weight, self.bias, words, offsets, reviews, values
        )
        return y


class BagProduct(torch.autograd.Function):
    """y = x w + b for bags x, with dw = x^T dy and db = sum of dy.

    ``F.embedding_bag`` is the fast way forwards, but its own backward took three quarters of a step
    of the bag-of-words model. Sorted by word, the bags are the rows of x^T, and the same kernel
    computes their product with dy. There, narrow indices are faster in spite of the conversion.
    The order takes more than half of a step, and holds this engine at half of NumPy's speed; but
    the products of PyTorch's sparse matrices, when transposed, take four times as long as that.
    """

    @staticmethod
    def forward(
        ctx: Any,
        w: torch.Tensor,
        b: torch.Tensor,
        words: torch.Tensor,
        offsets: torch.Tensor,
        bags: torch.Tensor,
        values: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.save_for_backward(words, bags, values)
        ctx.vocabulary = len(w)
        # not in place: in PyTorch 2.11, what is compiled then has no gradient (its issue 180642)
        return _bag_sum(words, w, offsets, values) + b

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        words, bags, values = ctx.saved_tensors
        words = words.short() if ctx.vocabulary <= 2**15 else words.int()
        order = torch.argsort(words)
        by_word = bags.int().index_select(0, order)
        if values is not None:
            values = values.index_select(0, order)
        counts = torch.bincount(words, minlength=ctx.vocabulary)
        offsets = F.pad(counts.cumsum(0, dtype=torch.int32), (1, 0))
        return _bag_sum(by_word, dy, offsets, values), dy.sum(dim=0), None, None, None, None


def _bag_sum(
    ids: torch.Tensor, rows: torch.Tensor, offsets: torch.Tensor, values: torch.Tensor | None
) -> torch.Tensor:
    """The sums (n, out) of the ``rows`` that each of n bags of ``ids`` chooses, by ``values``."""
    return F.embedding_bag(
        *(ids, rows, offsets),
        mode="sum",
        include_last_offset=True,
        per_sample_weights=values,
    )


class PairLogits(torch.autograd.Function):
    """z[i, j] = v[words[i]] . u[contexts[i, j]], for tables v and u (rows, channels).

    ``nn.Embedding`` adds up the gradients of rows one by one, which took half of a step of the
    skip-gram model; and of the gradients of v, the sum over j need not be kept apart first.
    """

    @staticmethod
    def forward(
        ctx: Any, v: torch.Tensor, u: torch.Tensor, words: torch.Tensor, contexts: torch.Tensor
    ) -> torch.Tensor:
        """z (n, m) from ``words`` (n,) and ``contexts`` (n, m)."""
        chosen = F.embedding(words, v)
        ctx.save_for_backward(u, words, contexts, chosen)
        return (F.embedding(contexts, u) * chosen[:, None]).sum(dim=2)

    @staticmethod
    def backward(ctx: Any, dz: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        u, words, contexts, chosen = ctx.saved_tensors
        n, m = contexts.shape
        ends = torch.arange(0, (n + 1) * m, m, dtype=contexts.dtype, device=contexts.device)
        by_word = _bag_sum(contexts.flatten(), u, ends, dz.flatten())
        dv = torch.zeros_like(u).index_put_((words,), by_word, accumulate=True)
        by_context = dz[:, :, None] * chosen[:, None]
        du = torch.zeros_like(u).index_put_((contexts,), by_context, accumulate=True)
        return dv, du, None, None


class EmbeddingMax(nn.Embedding):
    """The maximum over a text's words of the rows that they choose.

    The winning entries are found first and taken then, so that autograd's gradient goes to them
    alone. ``nn.EmbeddingBag`` takes longer forwards, and backwards some kernels for every channel.
    """

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """(n, channels) from ``words`` (n, length)."""
        if not self.training:
            return _rows(self.weight, words).amax(dim=0)
        found = winners_whole if backends.torch.mode == "compile" else winners
        return self.weight.take(found(self.weight.detach(), words))


def _rows(w: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """(length, n, channels) for ``words`` (n, length): a maximum then runs over whole rows."""
    by_place = words.t()
    return w.index_select(0, by_place.reshape(-1)).view(*by_place.shape, -1)


def winners(w: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Where in the flat table ``w`` (rows, channels) the maxima (n, channels) over ``words`` (n,
    length) are; of equal words, that of the highest number.

    ``==`` that makes truth values, and ``max`` with an index, go through one entry at a time on the
    CPU. Comparisons in place and products of floating-point numbers go through whole vectors.
    """
    rows, channels = _rows(w, words), w.shape[1]
    rows.eq_(rows.amax(dim=0))  # 1 for a winner
    numbers = words.t().to(rows.dtype)[:, :, None]
    chosen = rows.mul_(numbers).amax(dim=0).long()
    return chosen.mul_(channels).add_(torch.arange(channels, device=w.device))


winners_whole = torch.library.custom_op("tetragrad::winners", winners, mutates_args=())
"""The same, as one operation that no compiler looks into: fused with the maximum, rows are gathered
anew for every channel, one entry at a time, and a step took half as long again."""


@winners_whole.register_fake
def _(w: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    return words.new_empty((len(words), w.shape[1]), dtype=torch.long)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation whose running variance averages the biased variance, as Keras' does.

    ``nn.BatchNorm1d`` normalises by the biased variance, but averages the unbiased one.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, channels) from (n, channels)."""
        assert self.running_var is not None
        assert self.momentum is not None
        if not self.training:
            return super().forward(x)
        variance = self.running_var.clone()
        y = F.batch_norm(
            x,
            self.running_mean,
            variance,
            self.weight,
            self.bias,
            training=True,
            momentum=self.momentum,
            eps=self.eps,
        )
        # it now is (1 - momentum) running + momentum v n / (n - 1), for the biased variance v
        with torch.no_grad():
            self.running_var.mul_((1 - self.momentum) / len(x)).add_(variance, alpha=1 - 1 / len(x))
        return y
