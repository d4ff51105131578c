"""An LSTM layer with one bias, and what a recurrent model carries from step to step."""

from __future__ import annotations

import torch
from torch import nn

from backends.torch.kept import Kept


class LSTM(nn.LSTM):
    """``nn.LSTM`` of one layer that trains one of its two biases.

    Only their sum matters: the second one stays 0, or equal gradients would move the sum twice.
    """

    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: nn.Parameter

    def __init__(self, inputs: int, hidden: int):
        super().__init__(inputs, hidden)
        nn.init.zeros_(self.bias_hh_l0).requires_grad_(False)


class Carry(Kept):
    """State without a gradient: buffers ``hidden`` and ``cell``, of ``shape`` (n, H)."""

    hidden: torch.Tensor
    cell: torch.Tensor

    def __init__(self, shape: tuple[int, ...]):
        super().__init__(hidden=shape, cell=shape)
