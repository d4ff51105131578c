"""PyTorch, eager: the bags' sum by ``embedding_bag``, its gradient by hand."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tasks.task import Tree

LR, RHO, EPS = 1e-3, 0.9, 1e-7


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    w1, b1, *others = (torch.from_numpy(a.copy()) for a in params.values())
    model = nn.Sequential(nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    rest: list[torch.Tensor] = list(model.parameters())
    with torch.no_grad():
        for parameter, start in zip(rest, others, strict=True):
            parameter.copy_(start.t())
    weights = [w1, b1, *rest]
    averages = [torch.zeros_like(w) for w in weights]
    counts = chunk["offsets"][:, -1].tolist()
    # 32-bit indices are enough for every kernel here
    names = ("words", "offsets", "reviews", "labels")
    batches = list(zip(*(torch.from_numpy(chunk[name]) for name in names), counts, strict=True))

    def run() -> object:
        losses = []
        for words, offsets, reviews, y, count in batches:
            words, reviews = words[:count], reviews[:count]
            x = F.embedding_bag(words, w1, offsets, mode="sum", include_last_offset=True) + b1
            x.requires_grad_()
            loss = F.binary_cross_entropy_with_logits(model(x)[:, 0], y)
            dx, *gradients = torch.autograd.grad(loss, [x, *rest])
            by_word = reviews.index_select(0, torch.argsort(words.short()))
            ends = torch.bincount(words, minlength=len(w1)).cumsum(0, dtype=torch.int32)
            starts = F.pad(ends, (1, 0))
            dw1 = F.embedding_bag(by_word, dx, starts, mode="sum", include_last_offset=True)
            with torch.no_grad():
                gradients = [dw1, dx.sum(0), *gradients]
                torch._foreach_mul_(averages, RHO)
                torch._foreach_addcmul_(averages, gradients, gradients, 1 - RHO)
                scale = torch._foreach_add(averages, EPS)
                torch._foreach_rsqrt_(scale)
                torch._foreach_addcmul_(weights, gradients, scale, -LR)
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
