"""PyTorch, eager, on ``nn.RNN``."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tasks.task import Tree
from tests.reference_loops.lstm.torch_loop import BETA1, BETA2, CLIP, EPS, LR


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    embedding, rnn, output = nn.Embedding(65, 64), nn.RNN(64, 256), nn.Linear(256, 65)
    model = nn.ModuleList([embedding, rnn, output])
    for name, parameter in rnn.named_parameters():
        if name == "bias_hh_l0":
            nn.init.zeros_(parameter).requires_grad_(False)
    weights: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        for weight, (name, array) in zip(weights, params.items(), strict=True):
            table = name == "embedding.kernel"
            weight.copy_(torch.from_numpy(array.copy() if table else array.T.copy()))
    m, v = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    counts = [torch.zeros(()) for _ in weights]
    xs = torch.from_numpy(chunk["inputs"]).transpose(1, 2).contiguous()
    ys = torch.from_numpy(chunk["targets"]).transpose(1, 2).long().flatten(1)

    def run() -> object:
        h = torch.zeros(1, xs.shape[2], 256)
        losses = []
        for x, y in zip(xs, ys, strict=True):
            states, h = rnn(embedding(x), h.detach())
            loss = F.cross_entropy(output(states.flatten(0, 1)), y)
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                norm = torch.stack(torch._foreach_norm(gradients)).norm()
                clipped = torch._foreach_mul(gradients, (CLIP / norm).clamp(max=1.0))
                torch._foreach_add_(counts, 1)
                torch._fused_adam_(
                    weights,
                    list(clipped),
                    m,
                    v,
                    [],
                    counts,
                    lr=LR,
                    beta1=BETA1,
                    beta2=BETA2,
                    weight_decay=0.0,
                    eps=EPS,
                    amsgrad=False,
                    maximize=False,
                )
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
