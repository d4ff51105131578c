"""PyTorch, eager: the perceptron learning rule as gradient descent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tasks.task import Tree


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    model = nn.Linear(2, 1)
    weights: list[torch.Tensor] = list(model.parameters())
    with torch.no_grad():
        for weight, array in zip(weights, params.values(), strict=True):
            weight.copy_(torch.from_numpy(array.T.copy()))
    xs, ys = torch.from_numpy(chunk["inputs"]), torch.from_numpy(2 * chunk["labels"] - 1)

    def run() -> object:
        losses = []
        for x, y in zip(xs, ys, strict=True):
            agreement = y * model(x)[:, 0]
            loss = torch.where(agreement <= 0, -agreement, 0).mean()
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                torch._foreach_sub_(weights, gradients)
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
