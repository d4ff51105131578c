"""Skip-gram with negative sampling in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.engine import Batch
from backends.torch.taps import tap
from backends.torch.text import PairLogits


class SkipGram(nn.Module):
    """Tables of the vectors of words and of neighbours."""

    def __init__(self, config: Any):
        super().__init__()
        self.embedding = nn.Embedding(config.rows, config.channels)
        self.context = nn.Embedding(config.rows, config.channels)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (n, 1 + negatives) of pairs."""
        tables = self.embedding.weight, self.context.weight
        logits: torch.Tensor = PairLogits.apply(  # type: ignore[no-untyped-call]
            *tables, batch["words"], batch["contexts"]
        )
        return tap("logits", logits)


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Logits, and the vectors (n, channels) of the pairs' words."""
    assert isinstance(model, SkipGram)
    return {"logits": model(batch), "vectors": model.embedding(batch["words"])}


def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """The mean loss of a pair."""
    z = model(batch)
    likely: torch.Tensor = F.logsigmoid(z[:, 0]).sum() + F.logsigmoid(-z[:, 1:]).sum()
    return -likely / len(z)
