"""The Program in PyTorch: an eager loop over the steps of a chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import nn

import backends.torch
from backends.torch import layers
from backends.torch.optimizers import Updater
from suite.contract import Array, Chunk, State, Task, Tree

Batch = Mapping[str, torch.Tensor]
Forward = Callable[[nn.Module, Batch], Mapping[str, torch.Tensor]]
Loss = Callable[[nn.Module, Batch], torch.Tensor]
DROPOUT = nn.Dropout | nn.Dropout1d


class Program:
    """Implements ``suite.contract.Program``."""

    def __init__(
        self,
        task: Task,
        state: State,
        seed: int | None,
        model: nn.Module,
        forward: Forward,
        loss: Loss,
    ):
        self._forward, self._loss, self._seed = forward, loss, seed
        self._dtype = torch.from_numpy(next(iter(state.params.values()))).dtype
        self._model = model.to(backends.torch.device, self._dtype)
        self._params = dict(layers.parameters(self._model))
        self._buffers = dict(layers.buffers(self._model))
        self._dropouts = [m for m in self._model.modules() if isinstance(m, DROPOUT)]
        self._leaves = list(self._params.values())
        self._updater = Updater(task.optimizer, self._leaves)
        self.restore(state)

    def place(self, chunk: Chunk) -> list[Batch]:
        """The chunk's batches, one per step."""
        tensors = {
            name: torch.from_numpy(array).to(
                backends.torch.device, self._dtype if array.dtype.kind == "f" else None
            )
            for name, array in chunk.items()
        }
        steps = len(next(iter(tensors.values())))
        batches: list[Batch] = [
            {name: t[step] for name, t in tensors.items()} for step in range(steps)
        ]
        self._synchronize()
        return batches

    def train(self, placed: list[Batch]) -> Array:
        self._to_training_mode()
        self._updater.begin(self._step, len(placed))
        losses = []
        for number, batch in enumerate(placed):
            self._seed_dropout()
            loss = self._loss(self._model, batch)
            self._updater.apply(torch.autograd.grad(loss, self._leaves), number)
            losses.append(loss.detach())
            self._step += 1
        stacked: Array = torch.stack(losses).cpu().numpy()
        self._synchronize()
        return stacked

    def _to_training_mode(self) -> None:
        self._model.train()
        for dropout in self._dropouts:
            dropout.train(self._seed is not None)

    def _seed_dropout(self) -> None:
        if self._dropouts and self._seed is not None:
            torch.manual_seed(dropout_seed(self._seed, self._step))

    @torch.inference_mode()
    def predict(self, placed: list[Batch]) -> Tree:
        self._model.eval()
        outputs = [self._forward(self._model, batch) for batch in placed]
        return {name: torch.stack([o[name] for o in outputs]).cpu().numpy() for name in outputs[0]}

    def gradients(self, placed: list[Batch]) -> tuple[float, Tree]:
        self._to_training_mode()
        self._seed_dropout()
        before = {name: b.clone() for name, b in self._buffers.items()}
        loss = self._loss(self._model, placed[0])
        gradients = torch.autograd.grad(loss, self._leaves)
        for name, b in self._buffers.items():
            b.copy_(before[name])
        named = zip(self._params, gradients, strict=True)
        return float(loss.detach()), {name: layers.to_canonical(name, g) for name, g in named}

    def compilations(self) -> int:
        return 0

    def state(self) -> State:
        def canonical(tensors: Iterable[torch.Tensor]) -> Tree:
            named = zip(self._params, tensors, strict=True)
            return {name: layers.to_canonical(name, t) for name, t in named}

        slots = {slot: canonical(tensors) for slot, tensors in self._updater.slots.items()}
        buffers = {name: layers.to_canonical(name, b) for name, b in self._buffers.items()}
        return State(canonical(self._leaves), slots, buffers, self._step)

    @torch.no_grad()
    def restore(self, state: State) -> None:
        for i, (name, p) in enumerate(self._params.items()):
            p.copy_(layers.from_canonical(name, state.params[name]))
            for slot, tensors in self._updater.slots.items():
                tensors[i].copy_(layers.from_canonical(name, state.slots[slot][name]))
        for name, b in self._buffers.items():
            b.copy_(layers.from_canonical(name, state.buffers[name]))
        self._step = state.step
        self._synchronize()

    def _synchronize(self) -> None:
        """Waits for the device: its kernels run on after the call that started them returned."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()


def dropout_seed(seed: int, step: int) -> int:
    """A seed of torch's generator of its own for every (seed, step), 64 bits."""
    return int(np.random.SeedSequence(seed, spawn_key=(1, step)).generate_state(1, np.uint64)[0])
