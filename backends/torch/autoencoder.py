"""Autoencoder whose code is clustered, in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.engine import Batch, Program
from backends.torch.taps import tap
from tasks.task import State, Task

SMALLEST_NORM = 1e-12


class _Autoencoder(nn.Module):
    """Codes (n, code) and reconstructions (n, inputs) of inputs (n, inputs)."""

    def __init__(self, state: State):
        super().__init__()
        self.encoder, self.decoder = _layers(state, "encoder"), _layers(state, "decoder")

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        a = self.encoder(x)
        codes = F.normalize(a, eps=SMALLEST_NORM) * math.sqrt(a.shape[1])
        return tap("codes", codes), self.decoder(codes)


def forward(model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Codes (n, code) and squared errors (n,) from inputs (n, inputs)."""
    codes, output = model(batch["inputs"])
    errors = output - batch["inputs"]
    return {"codes": codes, "squared_error": errors.square().sum(dim=1)}


def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean over the batch of the squared error, plus the penalty where the batch has centres."""
    codes, output = model(batch["inputs"])
    total = F.mse_loss(output, batch["inputs"], reduction="sum")
    if "centres" in batch:
        away = F.mse_loss(codes, batch["centres"], reduction="sum")
        total = total + batch["penalty"] * away
    return total / len(codes)


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, _Autoencoder(state), forward, loss)


def _layers(state: State, part: str) -> nn.Sequential:
    """The dense layers of one part, ``hidden1``, ..., ``output``, with ReLU between them."""
    layers = nn.Sequential()
    for name, kernel in state.params.items():
        if name.startswith(part) and name.endswith(".kernel"):
            layer = name.split(".")[1]
            layers.add_module(layer, nn.Linear(*kernel.shape))
            if layer != "output":
                layers.add_module(f"{layer}_activation", nn.ReLU())
    return layers
