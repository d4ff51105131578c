"""PyTorch, eager."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tasks.task import Tree

LR = 1e-2


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    model = nn.Sequential(
        nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 1)
    )
    weights: list[torch.Tensor] = list(model.parameters())
    with torch.no_grad():
        for weight, array in zip(weights, params.values(), strict=True):
            weight.copy_(torch.from_numpy(array.T.copy()))
    xs, ys = torch.from_numpy(chunk["inputs"]), torch.from_numpy(chunk["values"])

    def run() -> object:
        losses = []
        for x, y in zip(xs, ys, strict=True):
            loss = F.mse_loss(model(x)[:, 0], y)
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                torch._foreach_add_(weights, gradients, alpha=-LR)
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
