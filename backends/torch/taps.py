"""Taps: names for what a model computes on its way, recorded only where that is asked for.

Modules have their names by themselves; ``tap`` names what no module gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from backends.program import Tap, numbered
from backends.torch.dropout import Dropout
from tasks.task import Array

View = Callable[[str, torch.Tensor], torch.Tensor]
"""``view(name, x)``: what is tapped, or its cotangent, in the layout that all backends share."""
_record: Record | None = None


def tap(name: str, x: torch.Tensor, axes: Sequence[int] | None = None) -> torch.Tensor:
    """Returns ``x``, an operation's value, which is recorded under ``name`` if that is asked for.

    In a module's ``forward``, the name goes on from the module's own: ``hidden`` in the module
    ``encoder.0`` is ``encoder.0.hidden``. ``axes`` is the order of its axes in which all backends
    agree, as of ``permute``.
    """
    if _record is not None:
        _record.note(name, x, axes)
    return x


class Record:
    """The taps of a step, copied: operations in place come after some."""

    def __init__(self, view: View | None):
        self._view = view
        self._path = [""]
        self._values: dict[str, Array] = {}
        self._cotangents: dict[str, Array] = {}
        self._modules: set[str] = set()
        """The names that come from modules alone."""

    def note(self, name: str, x: torch.Tensor, axes: Sequence[int] | None) -> None:
        """Keeps what the model names, in place of what a module of that name gave."""
        name = f"{self._path[-1]}{name}"
        if name in self._modules:
            self._modules.remove(name)
            del self._values[name]
            self._cotangents.pop(name, None)
        self._keep(numbered(name, self._values), x, axes)

    def entered(self, path: str, module: nn.Module, inputs: object) -> None:
        """A hook before ``forward`` of the module at ``path``."""
        self._path.append(f"{path}.")

    def left(self, path: str, module: nn.Module, inputs: object, output: Any) -> None:
        """A hook behind it."""
        self._path.pop()
        name = f"{module.layer}_dropout" if isinstance(module, Dropout) else path
        x = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(x, torch.Tensor) or (name in self._values and name not in self._modules):
            return
        name = numbered(name, self._values)
        self._modules.add(name)
        self._keep(name, x, None)

    def _keep(self, name: str, x: torch.Tensor, axes: Sequence[int] | None) -> None:
        self._values[name] = self._host(name, x, axes)
        if x.requires_grad:
            x.register_hook(partial(self._back, name, axes, self._values[name]))

    def _back(self, name: str, axes: Sequence[int] | None, value: Array, dx: torch.Tensor) -> None:
        if self._values.get(name) is value:  # not what another has taken the place of
            self._cotangents[name] = self._host(name, dx, axes)

    def _host(self, name: str, x: torch.Tensor, axes: Sequence[int] | None) -> Array:
        seen = x.detach() if self._view is None else self._view(name, x.detach())
        array: Array = (seen if axes is None else seen.permute(*axes)).cpu().numpy().copy()
        return array

    def taps(self) -> Mapping[str, Tap]:
        """By name, in the order of the values."""
        return {name: (value, self._cotangents.get(name)) for name, value in self._values.items()}


@contextmanager
def recorded(model: nn.Module, view: View | None) -> Iterator[Record]:
    """Records what is tapped meanwhile, and what the model's modules give, by their paths."""
    global _record
    _record = record = Record(view)
    hooks = [
        hook
        for path, module in model.named_modules()
        if path
        for hook in (
            module.register_forward_pre_hook(partial(record.entered, path)),
            module.register_forward_hook(partial(record.left, path)),
        )
    ]
    try:
        yield record
    finally:
        _record = None
        for hook in hooks:
            hook.remove()
