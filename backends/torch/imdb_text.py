"""The models of film reviews in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import backends.torch
from backends.torch import skipgram
from backends.torch.dropout import Dropout
from backends.torch.engine import Batch, Program
from backends.torch.hidden import add_after, followed
from backends.torch.skipgram import SkipGram
from backends.torch.taps import tap
from backends.torch.text import BagDense, EmbeddingMax
from tasks.task import State, Task


class _BagOfWords(nn.Module):
    def __init__(self, config: Any):
        super().__init__()
        self.bag = BagDense(config.words, config.hidden)
        self.hidden = nn.Linear(config.hidden, config.hidden)
        self.output = nn.Linear(config.hidden, 1)
        self._after_bag = add_after(self, config, "bag", config.hidden)
        self._after_hidden = add_after(self, config, "hidden", config.hidden)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (n,)."""
        words, reviews, values = batch["words"], batch["reviews"], batch.get("values")
        if backends.torch.mode != "graph":
            count = int(batch["offsets"][-1])  # the rest is padding
            words, reviews = words[:count], reviews[:count]
            values = None if values is None else values[:count]
        h = tap("bag_activation", F.relu(self.bag(words, batch["offsets"], reviews, values)))
        for layer in self._after_bag:
            h = followed(layer, h, batch)
        h = tap("hidden_activation", F.relu(self.hidden(h)))
        for layer in self._after_hidden:
            h = followed(layer, h, batch)
        logits: torch.Tensor = self.output(h).squeeze(1)
        return logits


class _Embedding(nn.Module):
    def __init__(self, config: Any):
        super().__init__()
        self.embedding = EmbeddingMax(config.rows, config.channels)
        # dropping a channel of all words and taking the maximum is the same in either order
        self.dropout = Dropout(config.dropout, "embedding")
        self.hidden = nn.Linear(config.channels, config.hidden)
        self.output = nn.Linear(config.hidden, 1)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (n,)."""
        h = followed(self.dropout, self.embedding(batch["words"]), batch)
        h = tap("hidden_activation", F.relu(self.hidden(h)))
        logits: torch.Tensor = self.output(h).squeeze(1)
        return logits


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Logits (n,) from bags of words, or from words (n, length) for ``embedding``."""
    return {"logits": model(batch)}


def loss(config: Any, model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy plus the penalty."""
    value = F.binary_cross_entropy_with_logits(forward(model, batch)["logits"], batch["labels"])
    if isinstance(model, _BagOfWords) and config.l1:
        absolute = model.bag.weight.abs().sum() + model.hidden.weight.abs().sum()
        value = value + config.l1 * absolute
    if isinstance(model, _BagOfWords) and config.l2:
        squares = model.bag.weight.square().sum() + model.hidden.weight.square().sum()
        value = value + config.l2 * squares
    return value


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    if "context.table" in state.params:
        pairs = SkipGram(task.config)
        return Program(task, state, seed, pairs, skipgram.forward, skipgram.loss)
    embedding = "embedding.kernel" in state.params
    model = _Embedding(task.config) if embedding else _BagOfWords(task.config)
    return Program(task, state, seed, model, forward, partial(loss, task.config))
