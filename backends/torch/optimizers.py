"""Optimisers on the multi-tensor kernels that ``torch.optim`` itself is made of.

``torch.optim.RMSprop`` adds epsilon outside the root; and with ``backward``, an ``Optimizer`` and
``zero_grad`` the engine ran at 0.95 of the speed of a bare loop, with these formulas at 1.00.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import numpy as np
import torch

import backends.torch
from tasks.optimizers import SGD, Adagrad, Adam, Momentum, Optimizer, RMSprop

Rates = Sequence[float] | Sequence[torch.Tensor] | torch.Tensor
"""Values that an update needs besides gradients: a rate that changes, and Adam's always. Where
numbers would be kept for good, in a graph or compiled, the rate is a tensor (); for Adam compiled,
rate and epsilon (2,)."""


class Updater:
    """Updates parameters in place by the gradients of each step of a chunk.

    ``slots`` maps a canonical slot to one tensor per parameter, in the parameters' order.
    """

    def __init__(self, optimizer: Optimizer, params: list[torch.Tensor]):
        self._optimizer = optimizer
        self._params = params
        self._plain = backends.torch.mode == "compile" or not backends.torch.fused
        """Adam as formulas, which a compiler fuses itself."""
        self.slots: Mapping[str, list[torch.Tensor]] = {
            slot: [torch.zeros_like(p, requires_grad=False) for p in params]
            for slot in optimizer.slots
        }
        # the fused kernel reads a count of updates for every parameter: one that all share
        self._count = torch.zeros((), device=params[0].device)
        self._counts = [self._count] * len(params)

    @property
    def changed(self) -> list[torch.Tensor]:
        """All that updates change, in place."""
        return [*self._params, *(t for slot in self.slots.values() for t in slot), self._count]

    def begin(self, step: int, count: int) -> Sequence[Rates]:
        """The rates of ``count`` updates that follow update number ``step``."""
        p, optimizer = self._params[0], self._optimizer
        if isinstance(optimizer, Adam):
            if self._plain:
                pairs = np.stack(optimizer.corrected(step, count), axis=1)
                found: list[Rates] = list(torch.as_tensor(pairs, dtype=p.dtype, device=p.device))
                return found
            self._count.fill_(step)
        elif not optimizer.schedule:
            return [()] * count
        rates = optimizer.rates(step, count)
        if backends.torch.mode != "eager":
            return [(rate,) for rate in torch.as_tensor(rates, dtype=p.dtype, device=p.device)]
        return [(rate,) for rate in rates.tolist()]

    @torch.no_grad()
    def apply(self, gradients: tuple[torch.Tensor, ...], rates: Rates) -> None:
        """One update, with its rates."""
        match self._optimizer:
            case SGD(rate):
                moves, rate = _by_rate(gradients, rate, rates)
                torch._foreach_add_(self._params, moves, alpha=-rate)
            case Momentum(rate, momentum):
                m = self.slots["m"]
                torch._foreach_mul_(m, momentum)
                torch._foreach_add_(m, gradients)
                moves, rate = _by_rate(m, rate, rates)
                torch._foreach_add_(self._params, moves, alpha=-rate)
            case Adagrad(rate, epsilon):
                v = self.slots["v"]
                torch._foreach_addcmul_(v, gradients, gradients)
                scale = torch._foreach_sqrt(v)
                torch._foreach_add_(scale, epsilon)
                moves, rate = _by_rate(gradients, rate, rates)
                torch._foreach_addcdiv_(self._params, moves, scale, -rate)
            case RMSprop(rate, rho, epsilon):
                v = self.slots["v"]
                torch._foreach_mul_(v, rho)
                torch._foreach_addcmul_(v, gradients, gradients, 1 - rho)
                scale = torch._foreach_add(v, epsilon)
                torch._foreach_rsqrt_(scale)
                moves, rate = _by_rate(gradients, rate, rates)
                torch._foreach_addcmul_(self._params, moves, scale, -rate)
            case Adam(_, beta1, beta2, epsilon, clip=clip):
                if clip is not None:
                    gradients = _clipped(gradients, clip)
                if self._plain:
                    self._adam(gradients, beta1, beta2, *rates)
                    return
                self._count.add_(1)
                torch._fused_adam_(
                    self._params,
                    _laid_out_as(self._params, gradients),
                    self.slots["m"],
                    self.slots["v"],
                    [],
                    self._counts,
                    lr=rates[0],
                    beta1=beta1,
                    beta2=beta2,
                    weight_decay=0.0,
                    eps=epsilon,
                    amsgrad=False,
                    maximize=False,
                )
            case unknown:
                assert_never(unknown)

    def _adam(
        self,
        gradients: tuple[torch.Tensor, ...],
        beta1: float,
        beta2: float,
        rate: torch.Tensor,
        epsilon: torch.Tensor,
    ) -> None:
        """As plain formulas, which a compiler makes one kernel of; see ``Adam.corrected``."""
        slots = self.slots["m"], self.slots["v"]
        for p, g, m, v in zip(self._params, gradients, *slots, strict=True):
            m.lerp_(g, 1 - beta1)
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            p.sub_(rate * m / (v.sqrt() + epsilon))


def _by_rate(
    moves: list[torch.Tensor] | tuple[torch.Tensor, ...], rate: float, rates: Rates
) -> tuple[list[torch.Tensor] | tuple[torch.Tensor, ...], float]:
    """Moves and the number that multiplies them: ``rate``, or 1 once they have that of a step."""
    if not len(rates):
        return moves, rate
    own: Any = rates[0]
    return torch._foreach_mul(moves, own), 1.0


def _laid_out_as(
    params: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """The gradients with the strides of their parameters, which the fused kernel takes for given.

    ``torch.autograd.grad`` gives that of a parameter that was transposed as a transposed view.
    """
    return [
        g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)
        for p, g in zip(params, gradients, strict=True)
    ]


def _clipped(gradients: tuple[torch.Tensor, ...], clip: float) -> tuple[torch.Tensor, ...]:
    """The gradients with a global norm of at most ``clip``.

    ``nn.utils.clip_grad_norm_`` adds 1e-6 to the norm, which the specification does not.
    """
    norm = torch.stack(torch._foreach_norm(gradients)).norm()
    return torch._foreach_mul(gradients, (clip / norm).clamp(max=1.0))
