"""PyTorch on batches made dense, for orientation: what most people would write."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tasks.task import Tree

LR, RHO, EPS = 1e-3, 0.9, 1e-7


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    inputs = len(params["bag.kernel"])
    layers = (nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    model = nn.Sequential(*layers)
    weights: list[torch.Tensor] = list(model.parameters())
    with torch.no_grad():
        for weight, array in zip(weights, params.values(), strict=True):
            weight.copy_(torch.from_numpy(array.T.copy()))
    averages = [torch.zeros_like(w) for w in weights]
    batches = []
    for words, reviews, y in zip(chunk["words"], chunk["reviews"], chunk["labels"], strict=True):
        x = torch.zeros(len(y) + 1, inputs)
        x[torch.from_numpy(reviews).long(), torch.from_numpy(words).long()] = 1
        batches.append((x[: len(y)], torch.from_numpy(y)))

    def run() -> object:
        losses = []
        for x, y in batches:
            loss = F.binary_cross_entropy_with_logits(model(x)[:, 0], y)
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                torch._foreach_mul_(averages, RHO)
                torch._foreach_addcmul_(averages, gradients, gradients, 1 - RHO)
                scale = torch._foreach_add(averages, EPS)
                torch._foreach_rsqrt_(scale)
                torch._foreach_addcmul_(weights, gradients, scale, -LR)
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
