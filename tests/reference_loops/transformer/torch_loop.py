"""PyTorch, eager: padding is left out except in attention, the loss has its gradient by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from tasks.task import Tree

LR, WARMUP, TOTAL, BETA1, BETA2, EPS, CLIP = 2e-3, 200, 1800, 0.9, 0.98, 1e-9, 1.0
WIDTH, LAYERS, HEADS, SMOOTHING = 128, 2, 4, 0.1
Weights = dict[str, torch.Tensor]


class Loss(torch.autograd.Function):
    """Label-smoothed cross-entropy of x e^T + b, with one pass of exp over the vocabulary."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, e: torch.Tensor, b: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        words, y = len(e), y[:, None]
        mean = x @ e.mean(0) + b.mean()
        e = F.pad(e, (0, 0, 0, -words % 16))  # aligned rows: the products are faster
        z = torch.addmm(F.pad(b, (0, -words % 16), value=-torch.inf), x, e.T)
        at_target, top = z.gather(1, y)[:, 0], z.amax(1)
        p = torch.softmax(z, 1)
        normalizer = top - p.amax(1).log()
        p.sub_(SMOOTHING / words).scatter_add_(1, y, p.new_full(y.shape, SMOOTHING - 1))
        ctx.save_for_backward(x, e, p)
        ctx.words = words
        return (normalizer - (1 - SMOOTHING) * at_target - SMOOTHING * mean).mean()

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, e, dz = ctx.saved_tensors
        scale = dy / len(x)
        de, db = dz.T @ (x * scale), dz.T @ scale.expand(len(x))
        return (dz @ e).mul_(scale), de[: ctx.words], db[: ctx.words], None


class Rows:
    """The positions of a batch (n, T) that are no padding."""

    def __init__(self, ids: torch.Tensor):
        self.shape, self.rows = ids.shape, ids.flatten().nonzero()[:, 0]

    def pad(self, x: torch.Tensor) -> torch.Tensor:
        padded = x.new_zeros(self.shape.numel(), x.shape[1]).index_copy_(0, self.rows, x)
        return padded.view(*self.shape, -1, WIDTH // HEADS).transpose(1, 2)

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(0, 1).index_select(0, self.rows)


def weights_of(params: Tree) -> Weights:
    """Linear kernels as (out, in); query, key and value of self-attention joined, as key and value
    of cross-attention.
    """
    w = {
        name: torch.from_numpy((a.T if a.ndim == 2 and "embedding" not in name else a).copy())
        for name, a in params.items()
    }
    for name in [name for name in w if ".key." in name]:
        parts = ("query", "key", "value") if ".self." in name else ("key", "value")
        w[name.replace("key", "in")] = torch.cat([w.pop(name.replace("key", p)) for p in parts])
    return {name: tensor.requires_grad_() for name, tensor in w.items()}


def model_loss(w: Weights, source: torch.Tensor, inputs: torch.Tensor, y: torch.Tensor) -> Any:
    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, w[f"{name}.kernel"], w[f"{name}.bias"])

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (WIDTH,), w[f"{name}.scale"], w[f"{name}.offset"])

    def embed(ids: torch.Tensor, rows: Rows, name: str) -> torch.Tensor:
        x = F.embedding(ids, w[f"{name}.embedding.kernel"]) * math.sqrt(WIDTH)
        return rows.pack(x + positions(ids.shape[1]))

    def output(attended: torch.Tensor, rows: Rows, name: str) -> torch.Tensor:
        return linear(rows.pack(attended.transpose(1, 2).flatten(2)), f"{name}.output")

    def attend_self(x: torch.Tensor, rows: Rows, name: str, **mask: Any) -> torch.Tensor:
        q, k, v = rows.pad(linear(norm(x, f"{name}.norm"), f"{name}.in")).chunk(3, 1)
        return x + output(F.scaled_dot_product_attention(q, k, v, **mask), rows, name)

    def attend_source(x: torch.Tensor, name: str) -> torch.Tensor:
        q = real.pad(linear(norm(x, f"{name}.norm"), f"{name}.query"))
        k, v = german.pad(linear(memory, f"{name}.in")).chunk(2, 1)
        return x + output(F.scaled_dot_product_attention(q, k, v, mask), real, name)

    def feedforward(x: torch.Tensor, name: str) -> torch.Tensor:
        hidden = F.relu_(linear(norm(x, f"{name}.norm"), f"{name}.hidden"))
        return x + linear(hidden, f"{name}.output")

    german, real = Rows(source), Rows(y)
    mask = torch.zeros(source.shape).masked_fill_(source == 0, -torch.inf)[:, None, None]
    x = embed(source, german, "encoder")
    for i in range(LAYERS):
        x = attend_self(x, german, f"encoder.{i}.self", attn_mask=mask)
        x = feedforward(x, f"encoder.{i}.feedforward")
    memory, x = norm(x, "encoder.norm"), embed(inputs, real, "decoder")
    for i in range(LAYERS):
        x = attend_self(x, real, f"decoder.{i}.self", is_causal=True)
        x = attend_source(x, f"decoder.{i}.cross")
        x = feedforward(x, f"decoder.{i}.feedforward")
    x, targets = norm(x, "decoder.norm"), real.pack(y[..., None])[:, 0].long()
    e, b = w["decoder.embedding.kernel"], w["output.bias"]
    return Loss.apply(x, e, b, targets)  # type: ignore[no-untyped-call]


def positions(length: int) -> torch.Tensor:
    angles = torch.arange(length)[:, None] / 10_000 ** (torch.arange(0, WIDTH, 2) / WIDTH)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    w = weights_of(params)
    leaves = list(w.values())
    m, v = ([torch.zeros_like(leaf) for leaf in leaves] for _ in range(2))
    counts = [torch.zeros(()) for _ in leaves]
    batches = list(
        zip(*(torch.from_numpy(chunk[k]) for k in ("source", "inputs", "targets")), strict=True)
    )
    step = 0

    def run() -> object:
        nonlocal step
        losses = []
        for batch in batches:
            loss = model_loss(w, *batch)
            gradients = torch.autograd.grad(loss, leaves)
            with torch.no_grad():
                norm = torch.stack(torch._foreach_norm(gradients)).norm()
                clipped = torch._foreach_mul(gradients, (CLIP / norm).clamp(max=1.0))
                torch._foreach_add_(counts, 1)
                torch._fused_adam_(
                    leaves,
                    list(clipped),
                    m,
                    v,
                    [],
                    counts,
                    lr=LR * min((step + 1) / WARMUP, max(TOTAL - step, 0) / (TOTAL - WARMUP)),
                    beta1=BETA1,
                    beta2=BETA2,
                    weight_decay=0.0,
                    eps=EPS,
                    amsgrad=False,
                    maximize=False,
                )
            step += 1
            losses.append(loss.detach())
        return torch.stack(losses).numpy()

    return run
