"""Character language model in PyTorch, on ``nn.LSTM``, or on ``nn.RNN`` in its variant."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.engine import Batch, Program
from backends.torch.kept import Kept
from backends.torch.recurrent import LSTM, RNN
from backends.torch.taps import tap
from tasks.task import State, Task

PIECE = 64
"""Steps that evaluation holds in memory at a time."""


class _Characters(nn.Module):
    def __init__(self, characters: int, channels: int, carry: Mapping[str, tuple[int, ...]]):
        super().__init__()
        hidden = carry["hidden"][1]
        self.embedding = nn.Embedding(characters, channels)
        if "cell" in carry:
            self.lstm = LSTM(channels, hidden)
        else:
            self.rnn = RNN(channels, hidden)
        self.output = nn.Linear(hidden, characters)
        self.carry = Kept(**carry)

    def forward(self, ids: torch.Tensor, state: Batch) -> tuple[torch.Tensor, Batch]:
        """Logits (T, n, characters) and the state (n, H) after ids (T, n) and the state before."""
        x, h = self.embedding(ids), state["hidden"][None]
        if "cell" not in state:
            states, h = self.rnn(x, h)
            return self.output(states), {"hidden": h[0]}
        states, (h, c) = self.lstm(x, (h, state["cell"][None]))
        cell = tap("lstm_cell", c[0])
        return self.output(states), {"hidden": h[0], "cell": cell}


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Cross-entropies [nats] (n, T) from inputs and targets (n, T), from the batch's own state.

    Also the logits (n, characters) after the last input and the state (n, H) there.
    """
    state, nats = {name: batch[name] for name in ("hidden", "cell") if name in batch}, []
    pieces = (batch[name].T.split(PIECE) for name in ("inputs", "targets"))
    for ids, targets in zip(*pieces, strict=True):
        logits, state = model(ids, state)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten().long(), reduction="none")
        nats.append(losses.view_as(targets))
    return {"nats": torch.cat(nats).T, "logits": logits[-1], **state}


def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy from inputs and targets (n, T); the model's state moves on."""
    carry = dict(model.get_submodule("carry").named_buffers())
    kept = 1 - batch["reset"]
    state = {name: tap(f"carry.{name}", part * kept) for name, part in carry.items()}
    logits, state = model(batch["inputs"].T, state)
    for name, part in carry.items():
        part.copy_(state[name].detach())
    return F.cross_entropy(logits.flatten(0, 1), batch["targets"].T.flatten().long())


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    characters, channels = state.params["embedding.kernel"].shape
    carry = {name.removeprefix("carry."): b.shape for name, b in state.buffers.items()}
    model = _Characters(characters, channels, carry)
    return Program(task, state, seed, model, forward, loss)
