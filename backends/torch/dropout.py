"""Dropout for ``torch.nn``: by a mask that comes with the batch, or else as ``nn.Dropout``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class Dropout(nn.Dropout):
    """``nn.Dropout`` by the name of what it follows, which can also be told what to keep.

    Scaled in training, not in evaluation: Srivastava et al. 2014, section 10.
    """

    factors: torch.Tensor | None = None
    """Factors of the entries of its last input, if that has been ``recorded``."""

    def __init__(self, rate: float, layer: str):
        super().__init__(rate)
        self.layer = layer

    def forward(self, x: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """``x``, of which it drops what is not ``kept``, a mask of the same shape, if given."""
        if kept is None or not self.p:
            return super().forward(x)
        return x * kept / (1 - self.p)


@contextmanager
def recorded(dropouts: Sequence[Dropout]) -> Iterator[None]:
    """Puts what these layers multiply by meanwhile into their ``factors``.

    Their inputs become ones, so that nothing that follows them is right.
    """
    for dropout in dropouts:
        dropout.factors = None
    hooks = [
        hook
        for dropout in dropouts
        for hook in (
            dropout.register_forward_pre_hook(_with_ones),
            dropout.register_forward_hook(_record),
        )
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _with_ones(dropout: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[Any, ...]:
    x, *others = inputs
    return torch.ones_like(x), *others


def _record(dropout: nn.Module, inputs: object, factors: torch.Tensor) -> None:
    assert isinstance(dropout, Dropout)
    dropout.factors = factors
