"""The layers of dense stacks behind a dense one: activation, normalisation, dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from backends.torch.dropout import Dropout
from backends.torch.engine import Batch
from backends.torch.taps import tap
from backends.torch.text import BatchNorm
from tasks.task import MASK, Tree


def maxout(a: torch.Tensor) -> torch.Tensor:
    """The larger of two pieces, (n, units) from (n, 2 units)."""
    return torch.maximum(*a.chunk(2, dim=1))


ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "leaky_relu": partial(F.leaky_relu, negative_slope=0.1),
    "elu": F.elu,
    "maxout": maxout,
}


def add_after(model: nn.Module, config: Any, layer: str, width: int) -> list[nn.Module]:
    """Adds what follows a layer's activation, as far as ``config`` has it, and returns it.

    ``nn.Identity`` for the rest would take its time too.
    """
    if config.batch_norm:
        options = {"eps": config.epsilon, "momentum": 1 - config.momentum}
        model.add_module(f"{layer}_norm", BatchNorm(width, **options))
    if config.dropout:
        model.add_module(f"{layer}_dropout", Dropout(config.dropout, layer))
    names = (f"{layer}_norm", f"{layer}_dropout")
    return [getattr(model, name) for name in names if hasattr(model, name)]


def followed(layer: nn.Module, h: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The output of ``layer`` for ``h``, by the mask of the batch if it drops."""
    given = (batch.get(f"{MASK}{layer.layer}"),) if isinstance(layer, Dropout) else ()
    y: torch.Tensor = layer(h, *given)
    return y


class Stack(nn.Module):
    """Dense layers with ``config.activation`` between them and one output, shaped as ``params``."""

    def __init__(self, config: Any, params: Tree):
        super().__init__()
        self._activate = ACTIVATIONS[config.activation]
        self._layers = config.layers
        for layer in (*self._layers, "output"):
            self.add_module(layer, nn.Linear(*params[f"{layer}.kernel"].shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output (n,) for x (n, in)."""
        for layer in self._layers:
            x = tap(f"{layer}_activation", self._activate(self.get_submodule(layer)(x)))
        y: torch.Tensor = self.get_submodule("output")(x).squeeze(1)
        return y
