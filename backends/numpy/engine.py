"""The Program in NumPy: a loop over the steps of a chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backends.numpy import optimizers
from suite.contract import Array, Chunk, State, Task, Tree

Backward = Callable[[Any], Tree]
"""From the cotangent of a function's output to the gradients of the parameters."""
Forward = Callable[[Tree, Tree], tuple[Tree, Callable[[Tree], Tree]]]
"""``forward(params, batch) -> outputs, backward``"""
Loss = Callable[[Tree, Tree], tuple[Array, Backward]]
"""``loss(params, batch) -> loss, backward``; the cotangent of a loss is 1."""


class Program:
    """Implements ``suite.contract.Program``."""

    def __init__(self, task: Task, state: State, forward: Forward, loss: Loss):
        self._forward, self._loss = forward, loss
        self._optimizer = task.optimizer
        self._dtype = state.dtype
        self.restore(state)

    def place(self, chunk: Chunk) -> list[Tree]:
        """The chunk's batches, one per step, as views where the precision already fits."""
        arrays = {
            name: a.astype(self._dtype, copy=False) if a.dtype.kind == "f" else a
            for name, a in chunk.items()
        }
        steps = len(next(iter(arrays.values())))
        return [{name: a[step] for name, a in arrays.items()} for step in range(steps)]

    def train(self, placed: list[Tree]) -> Array:
        losses = np.empty(len(placed), self._dtype)
        for step, batch in enumerate(placed):
            losses[step], backward = self._loss(self._params, batch)
            optimizers.update(
                self._optimizer, self._params, backward(1.0), self._slots, self._scratch
            )
        self._step += len(placed)
        return losses

    def predict(self, placed: list[Tree]) -> Tree:
        outputs = [self._forward(self._params, batch)[0] for batch in placed]
        return {name: np.stack([o[name] for o in outputs]) for name in outputs[0]}

    def gradients(self, placed: list[Tree]) -> tuple[float, Tree]:
        loss, backward = self._loss(self._params, placed[0])
        return float(loss), backward(1.0)

    def state(self) -> State:
        return State(self._params, self._slots, self._step).astype(self._dtype)

    def restore(self, state: State) -> None:
        own = state.astype(self._dtype)
        self._params, self._slots, self._step = own.params, own.slots, own.step
        self._scratch = {name: np.empty_like(leaf) for name, leaf in own.params.items()}
