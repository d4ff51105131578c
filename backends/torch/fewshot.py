"""Siamese and triplet networks for one-shot recognition in PyTorch, and fine-tuning above them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.engine import Batch, Program
from backends.torch.taps import tap
from tasks.task import State, Task

LAST = (0, 2, 3, 1)
"""The order of axes in which the channels come last."""


class _Embedder(nn.Module):
    """Pictures (n, side, side) on the unit sphere (n, embedding)."""

    def __init__(self, config: Any, siamese: bool):
        super().__init__()
        c1, c2, c3, c4 = config.channels
        self.conv1 = nn.Conv2d(1, c1, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(c1, c2, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(c2, c3, 3, stride=2, padding=1)
        self.conv4 = nn.Conv2d(c3, c4, 3, stride=2, padding=1)
        left = -(-config.side // 2 ** len(config.channels))
        self.dense = nn.Linear(left * left * c4, config.embedding)
        if siamese:
            self.similarity = nn.Linear(config.embedding, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        h = images[:, None]  # (n, 1, side, side)
        for number, conv in enumerate((self.conv1, self.conv2, self.conv3, self.conv4), 1):
            a = tap(f"conv{number}", conv(h), LAST)
            h = tap(f"conv{number}_activation", F.relu(a, inplace=True), LAST)
        h = h.permute(0, 2, 3, 1).flatten(1)  # in memory the channels come last already
        return tap("embeddings", F.normalize(self.dense(h)))


class _Heads(nn.Module):
    """A linear layer for every episode: ``kernels`` (episodes, embedding, ways), ``biases``."""

    def __init__(self, config: Any):
        super().__init__()
        episodes, ways = config.episodes, config.ways
        self.kernels = nn.Parameter(torch.empty(episodes, config.embedding, ways))
        self.biases = nn.Parameter(torch.empty(episodes, ways))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (episodes, ways, pictures) from x (episodes, pictures, embedding).

        With the few ways last, MKL's products took two and, of the gradient, three times as long,
        and PyTorch's softmax nine times.
        """
        kernels, pictures = self.kernels.transpose(1, 2), x.transpose(1, 2)
        return torch.baddbmm(self.biases[:, :, None], kernels, pictures)

    def of_all(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, episodes, ways) in all episodes from x (n, embedding)."""
        every = self.kernels.transpose(0, 1).flatten(1)
        z: torch.Tensor = (x @ every).unflatten(1, self.biases.shape)
        return z + self.biases


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Embeddings (n, embedding) of images (n, side, side), and the head's kernel for each, or their
    logits (n, episodes, ways) in all episodes."""
    outputs = {"embeddings": model(batch["images"])}
    if isinstance(heads := getattr(model, "head", None), _Heads):
        outputs["logits"] = heads.of_all(outputs["embeddings"])
    if isinstance(head := getattr(model, "similarity", None), nn.Linear):
        outputs["kernel"] = head.weight.expand_as(outputs["embeddings"])
    return outputs


def loss(config: Any, model: nn.Module, batch: Batch) -> torch.Tensor:
    """Cross-entropy of the batch's ``pairs``, each group half; of its ``places``, see the function
    for that; without, the loss of triplets."""
    if "places" in batch:
        return _finetune(config, model.get_submodule("head"), batch)
    embeddings = model(batch["images"])
    if "pairs" not in batch:
        return _triplet_loss(embeddings, config.per_class, config.margin)
    first, second = batch["pairs"].T
    difference = embeddings.index_select(0, first) - embeddings.index_select(0, second)
    logits = model.get_submodule("similarity")(tap("difference", difference.abs())).squeeze(1)
    same = len(embeddings) * (config.per_class - 1) // 2
    return -(F.logsigmoid(logits[:same]).mean() + F.logsigmoid(-logits[same:]).mean()) / 2


def _triplet_loss(embeddings: torch.Tensor, per_class: int, margin: float) -> torch.Tensor:
    """The mean over the active triplets, from embeddings (n, channels) of length 1."""
    n, k = len(embeddings), per_class
    squares = 2 - 2 * embeddings @ embeddings.T  # (n, n)
    by_class = squares.view(n // k, k, n // k, k)
    near = by_class.diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (classes, anchor, positive)
    far = squares.view(n // k, k, 1, n)
    offsets = _offsets(n, k, margin, squares.dtype, squares.device)
    hinge = F.relu(near[..., None] - far + offsets)  # (classes, anchor, positive, negative)
    return hinge.sum() / hinge.count_nonzero().clamp(min=1)


@cache
def _offsets(
    n: int, k: int, margin: float, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """(n / k, k, k, n): the margin for a triplet, minus infinity for what is none."""
    own = torch.arange(n, device=device) // k
    other = own != torch.arange(n // k, device=device)[:, None]  # (classes, negative)
    distinct = ~torch.eye(k, dtype=torch.bool, device=device)  # (anchor, positive)
    valid = other[:, None, None, :] & distinct[:, :, None]
    return torch.where(valid, margin, -torch.inf).to(dtype)


def _finetune(config: Any, heads: nn.Module, batch: Batch) -> torch.Tensor:
    """Cross-entropy of the known pictures plus ``config.entropy`` times the entropy of the others,
    means over all episodes."""
    z = heads(F.embedding(batch["places"], batch["embeddings"]))  # (episodes, ways, pictures)
    z = tap("head", z, (0, 2, 1))
    known = config.ways * config.shots
    labels = torch.arange(config.ways, device=z.device).repeat_interleave(config.shots)
    value = F.cross_entropy(z[:, :, :known], labels.expand(config.episodes, -1))
    log_p = z[:, :, known:].log_softmax(dim=1)
    entropy = -(log_p.exp() * log_p).sum(dim=1).mean()
    loss: torch.Tensor = value + config.entropy * entropy
    return loss


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    model = _Embedder(task.config, task.variant == "siamese")
    if task.variant == "finetune":
        model.head = _Heads(task.config)
    # 1.4 times as fast on the CPU
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Program(task, state, seed, model, forward, partial(loss, task.config))
