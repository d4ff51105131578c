"""Character language model in PyTorch, on ``nn.LSTM``."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.engine import Batch, Program
from backends.torch.recurrent import LSTM, Carry
from backends.torch.taps import tap
from tasks.task import State, Task

PIECE = 64
"""Steps that evaluation holds in memory at a time."""


class _Characters(nn.Module):
    def __init__(self, characters: int, channels: int, carry: tuple[int, ...]):
        super().__init__()
        hidden = carry[1]
        self.embedding = nn.Embedding(characters, channels)
        self.lstm = LSTM(channels, hidden)
        self.output = nn.Linear(hidden, characters)
        self.carry = Carry(carry)

    def forward(
        self, ids: torch.Tensor, h: torch.Tensor, c: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits (T, n, characters) and the state (n, H) after ids (T, n) and the state before."""
        states, (h, c) = self.lstm(self.embedding(ids), (h[None], c[None]))
        cell = tap("lstm_cell", c[0])
        return self.output(states), h[0], cell


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Cross-entropies [nats] (n, T) from inputs and targets (n, T), from the batch's own state.

    Also the logits (n, characters) after the last input and the state (n, H) there.
    """
    h, c, nats = batch["hidden"], batch["cell"], []
    pieces = (batch[name].T.split(PIECE) for name in ("inputs", "targets"))
    for ids, targets in zip(*pieces, strict=True):
        logits, h, c = model(ids, h, c)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten().long(), reduction="none")
        nats.append(losses.view_as(targets))
    return {"nats": torch.cat(nats).T, "logits": logits[-1], "hidden": h, "cell": c}


def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy from inputs and targets (n, T); the model's state moves on."""
    carry = model.get_submodule("carry")
    assert isinstance(carry, Carry)
    kept = 1 - batch["reset"]
    h, c = tap("carry.hidden", carry.hidden * kept), tap("carry.cell", carry.cell * kept)
    logits, h, c = model(batch["inputs"].T, h, c)
    carry.hidden.copy_(h.detach())
    carry.cell.copy_(c.detach())
    return F.cross_entropy(logits.flatten(0, 1), batch["targets"].T.flatten().long())


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    characters, channels = state.params["embedding.kernel"].shape
    model = _Characters(characters, channels, state.buffers["carry.hidden"].shape)
    return Program(task, state, seed, model, forward, loss)
