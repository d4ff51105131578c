"""PyTorch, eager, with ``torch.optim.Adam``."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from tasks.task import Tree

SHOTS, ENTROPY = 5, 0.1


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    kernels, biases = (
        torch.from_numpy(params[f"head.{name}"].copy()).requires_grad_()
        for name in ("kernels", "biases")
    )
    episodes, _, ways = kernels.shape
    optimizer = torch.optim.Adam([kernels, biases], lr=2e-2, eps=1e-12, fused=True)
    labels = torch.arange(ways).repeat_interleave(SHOTS).repeat(episodes)
    embeddings = torch.from_numpy(chunk["embeddings"])
    places, known = torch.from_numpy(chunk["places"]), ways * SHOTS

    def run() -> object:
        losses = []
        for e, p in zip(embeddings, places, strict=True):
            z = torch.baddbmm(biases[:, None], F.embedding(p, e), kernels)
            log_p = z[:, known:].log_softmax(dim=2)
            entropy = -(log_p.exp() * log_p).sum(dim=2).mean()
            loss = F.cross_entropy(z[:, :known].flatten(0, 1), labels) + ENTROPY * entropy
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
