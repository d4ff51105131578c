"""Recurrent layers with one bias: an LSTM and a plain one."""

from __future__ import annotations

from torch import nn


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


class RNN(nn.RNN):
    """``nn.RNN`` of one layer with tanh, which trains one of its two biases, as ``LSTM`` does."""

    weight_ih_l0: nn.Parameter
    weight_hh_l0: nn.Parameter
    bias_ih_l0: nn.Parameter
    bias_hh_l0: nn.Parameter

    def __init__(self, inputs: int, hidden: int):
        super().__init__(inputs, hidden, nonlinearity="tanh")
        nn.init.zeros_(self.bias_hh_l0).requires_grad_(False)
