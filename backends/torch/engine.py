"""The Program in PyTorch: a loop over the steps of a chunk, each run eagerly or compiled whole, or
the chunk replayed as a CUDA graph.

Eagerly, a step of a small model is 50 operations or more, each some microseconds before it computes
anything: this holds them at half of NumPy's speed, as it holds a loop by hand with ``torch.optim``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import nn

import backends.torch
from backends.program import Tap
from backends.torch import layers
from backends.torch.dropout import Dropout, recorded
from backends.torch.graphs import Graphs
from backends.torch.optimizers import Rates, Updater
from backends.torch.taps import recorded as taps_recorded, tap
from tasks.task import Array, Chunk, State, Task, Tree, require_leaves

P = ParamSpec("P")
T = TypeVar("T")
Batch = Mapping[str, torch.Tensor]
Forward = Callable[[nn.Module, Batch], Mapping[str, torch.Tensor]]
Loss = Callable[[nn.Module, Batch], torch.Tensor]
Step = Callable[[Batch, Rates], torch.Tensor]
Gradients = Callable[[Batch], tuple[torch.Tensor, tuple[torch.Tensor, ...]]]
Canonical = Callable[[Batch, str, torch.Tensor], torch.Tensor]
"""``canonical(batch, name, x)``: a tap, or its cotangent, in the layout that all backends share."""


class Program:
    """Implements ``backends.program.Program``."""

    def __init__(
        self,
        task: Task,
        state: State,
        seed: int | None,
        model: nn.Module,
        forward: Forward,
        loss: Loss,
        canonical: Canonical | None = None,
    ):
        self._forward, self._loss = _rounding(forward), _rounding(loss)
        self._canonical = canonical
        self._seed = seed
        self._dtype = torch.from_numpy(next(iter(state.params.values()))).dtype
        self._model = model.to(backends.torch.device, self._dtype)
        self._params = dict(layers.parameters(self._model))
        require_leaves({n: layers.shape_of(n, p) for n, p in self._params.items()}, state)
        self._buffers = dict(layers.buffers(self._model))
        self._dropouts = [m for m in self._model.modules() if isinstance(m, Dropout)]
        self._trained = {name: p for name, p in self._params.items() if name not in task.frozen}
        for name in task.frozen:
            self._params[name].requires_grad_(False)
        self._leaves = list(self._trained.values())
        self._updater = Updater(task.optimizer, self._leaves)
        # torch.manual_seed formats the stack for every device that is not used: 0.2 ms a step
        on_cpu = backends.torch.device == "cpu"
        self._seeded = torch.default_generator.manual_seed if on_cpu else torch.cuda.manual_seed
        self._step_of: Step = self._update
        self._gradients: Gradients = self._value_and_gradients
        self._value: Gradients = self._value_alone
        self._factors: Callable[[Batch], list[torch.Tensor | None]] = self._dropout_factors
        if backends.torch.mode == "compile":
            whole = partial(torch.compile, dynamic=False)
            self._step_of, self._gradients = whole(self._update), whole(self._value_and_gradients)
            self._value, self._factors = whole(self._value), whole(self._dropout_factors)
        self._graphs = Graphs(self._updates, [*self._updater.changed, *self._buffers.values()])
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
        rates = self._updater.begin(self._step, len(placed))
        made = self._replayed if backends.torch.mode == "graph" else self._steps
        losses: Array = made(placed, rates).to(self._dtype).cpu().numpy()
        self._synchronize()
        return losses

    def _steps(self, batches: Sequence[Batch], rates: Sequence[Rates]) -> torch.Tensor:
        """The losses (steps,) of these updates."""
        losses = []
        for batch, rate in zip(batches, rates, strict=True):
            self._seed_dropout()
            losses.append(self._step_of(batch, rate))
            self._step += 1
        return torch.stack(losses)

    def _replayed(self, batches: Sequence[Batch], rates: Sequence[Rates]) -> torch.Tensor:
        """The same by graphs: of all steps, or of one, since a graph gets one seed for dropout."""
        length = 1 if self._dropouts and self._seed is not None else len(batches)
        losses = []
        for start in range(0, len(batches), length):
            part = slice(start, start + length)
            losses.append(self._graphs(batches[part], rates[part], self._seed_dropout))
            self._step += length
        return torch.cat(losses)

    def _updates(self, batches: Sequence[Batch], rates: Sequence[Rates]) -> torch.Tensor:
        """The losses (steps,) of these updates, whatever dropout draws."""
        pairs = zip(batches, rates, strict=True)
        return torch.stack([self._update(batch, rate) for batch, rate in pairs])

    def _update(self, batch: Batch, rates: Rates) -> torch.Tensor:
        """The loss of a step, once it has been made."""
        loss, gradients = self._value_and_gradients(batch)
        self._updater.apply(gradients, rates)
        return loss

    def _value_and_gradients(self, batch: Batch) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        loss = self._loss(self._model, batch)
        return loss.detach(), torch.autograd.grad(loss, self._leaves)

    def _value_alone(self, batch: Batch) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        return self._loss(self._model, batch).detach(), ()

    def rehearse(self, placed: list[Batch], gradients: bool) -> tuple[Array, list[torch.Tensor]]:
        """Implements ``backends.program.Rehearsing``: a loop, in the mode ``graph`` too."""
        self._to_training_mode()
        made = self._gradients if gradients else self._value
        losses: list[torch.Tensor] = []
        last: tuple[torch.Tensor, ...] = ()
        with self._buffers_kept():
            for batch in placed:
                self._seed_dropout()
                loss, last = made(batch)
                losses.append(loss)
        found: Array = torch.stack(losses).to(self._dtype).cpu().numpy()
        self._synchronize()
        return found, list(last)

    def _to_training_mode(self) -> None:
        self._model.train()
        for dropout in self._dropouts:
            dropout.train(self._seed is not None)

    def _seed_dropout(self) -> None:
        if self._dropouts and self._seed is not None:
            self._seeded(dropout_seed(self._seed, self._step))

    @torch.inference_mode()
    def predict(self, placed: list[Batch]) -> Tree:
        self._model.eval()
        outputs = [self._forward(self._model, batch) for batch in placed]
        return {name: self._to_host([o[name] for o in outputs]) for name in outputs[0]}

    def _to_host(self, outputs: list[torch.Tensor]) -> Array:
        stacked = torch.stack(outputs)
        if stacked.is_floating_point():
            stacked = stacked.to(self._dtype)  # NumPy has no bfloat16
        found: Array = stacked.cpu().numpy()
        return found

    def gradients(self, placed: list[Batch]) -> tuple[float, Tree]:
        self._to_training_mode()
        self._seed_dropout()
        with self._buffers_kept():
            loss, gradients = self._gradients(placed[0])
        named = zip(self._trained, gradients, strict=True)
        return float(loss), {name: layers.to_canonical(name, g) for name, g in named}

    @contextmanager
    def _buffers_kept(self) -> Iterator[None]:
        """The buffers are afterwards what they were."""
        before = {name: b.clone() for name, b in self._buffers.items()}
        yield
        for name, b in self._buffers.items():
            b.copy_(before[name])

    def taps(self, placed: list[Batch]) -> Mapping[str, Tap]:
        """Implements ``backends.program.Tapping``: step by step, whatever the mode compiles."""
        self._to_training_mode()
        self._seed_dropout()
        view = None if self._canonical is None else partial(self._canonical, placed[0])
        with self._buffers_kept(), taps_recorded(self._model, view) as record:
            loss = tap("loss", self._loss(self._model, placed[0]))
            torch.autograd.grad(loss, self._leaves)
        return record.taps()

    def dropout(self, placed: list[Batch]) -> Tree:
        self._to_training_mode()
        self._seed_dropout()
        with self._buffers_kept(), recorded(self._dropouts):
            factors = self._factors(placed[0])
        named = zip(self._dropouts, factors, strict=True)
        return {d.layer: f.to(self._dtype).cpu().numpy() for d, f in named if f is not None}

    @torch.no_grad()
    def _dropout_factors(self, batch: Batch) -> list[torch.Tensor | None]:
        self._loss(self._model, batch)
        return [dropout.factors for dropout in self._dropouts]

    def device(self) -> str:
        return str(self._leaves[0].device)

    def compilations(self) -> int:
        if backends.torch.mode != "compile":
            return len(self._graphs)
        # every one of this process, which has one program
        return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])

    def state(self) -> State:
        def canonical(tensors: Mapping[str, torch.Tensor]) -> Tree:
            return {name: layers.to_canonical(name, t) for name, t in tensors.items()}

        slots = {
            slot: canonical(dict(zip(self._trained, tensors, strict=True)))
            for slot, tensors in self._updater.slots.items()
        }
        return State(canonical(self._params), slots, canonical(self._buffers), self._step)

    @torch.no_grad()
    def restore(self, state: State) -> None:
        for name, p in self._params.items():
            p.copy_(layers.from_canonical(name, state.params[name]))
        for i, name in enumerate(self._trained):
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


def _rounding(function: Callable[P, T]) -> Callable[P, T]:
    """The function with products of bfloat16, if they are to be."""
    if not backends.torch.autocast:
        return function

    def rounding(*given: P.args, **named: P.kwargs) -> T:
        with torch.autocast(backends.torch.device, torch.bfloat16):
            return function(*given, **named)

    return rounding


def dropout_seed(seed: int, step: int) -> int:
    """A seed of torch's generator of its own for every (seed, step), 64 bits.

    SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014) in whole
    numbers of Python: NumPy's ``SeedSequence`` took as long as a layer.
    """
    z = (_first_of(seed) + step * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


@cache
def _first_of(seed: int) -> int:
    """A number of 64 bits from a seed."""
    return int(np.random.SeedSequence(seed, spawn_key=(1,)).generate_state(1, np.uint64)[0])
