"""PyTorch, eager: fused Adam of ``torch.optim``; of the table, autograd sees the winners alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from tasks.task import Tree


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    table, w1, b1, w2, b2 = weights = [
        torch.from_numpy(a.copy()).requires_grad_() for a in params.values()
    ]
    optimizer = torch.optim.Adam(weights, lr=1e-3, eps=1e-7, fused=True)
    channels = torch.arange(table.shape[1])
    words, labels = torch.from_numpy(chunk["words"]), torch.from_numpy(chunk["labels"])
    by_place = words.transpose(1, 2).contiguous()  # a loop may lay out its data beforehand
    numbers = by_place.float()[:, :, :, None]

    def winners(places: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            rows = table.index_select(0, places.view(-1)).view(*places.shape, -1)
            found = rows.eq_(rows.amax(dim=0)).mul_(number).amax(dim=0).long()
            return found.mul_(len(channels)).add_(channels)

    def run() -> object:
        losses = []
        for places, number, y in zip(by_place, numbers, labels, strict=True):
            h = F.dropout(table.take(winners(places, number)), 0.1)
            h = F.relu(torch.addmm(b1, h, w1))
            z = torch.addmm(b2, h, w2)[:, 0]
            loss = F.binary_cross_entropy_with_logits(z, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
