"""PyTorch, eager: two embedding layers, ``torch.optim``'s fused Adam and its linear schedule."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tasks.task import Tree

TOTAL = 6_000


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    words, others = (nn.Embedding(*a.shape) for a in params.values())
    with torch.no_grad():
        for layer, start in zip((words, others), params.values(), strict=True):
            layer.weight.copy_(torch.from_numpy(start))
    weights = [words.weight, others.weight]
    optimizer = torch.optim.Adam(weights, 1e-2, eps=1e-8, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(1 - step / TOTAL, 0))
    tensors = (torch.from_numpy(chunk[name]) for name in ("words", "contexts"))
    batches = list(zip(*tensors, strict=True))

    def run() -> object:
        losses = []
        for w, c in batches:
            z = (others(c) * words(w)[:, None]).sum(dim=2)
            likely = F.logsigmoid(z[:, 0]) + F.logsigmoid(-z[:, 1:]).sum(dim=1)
            loss = -likely.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
