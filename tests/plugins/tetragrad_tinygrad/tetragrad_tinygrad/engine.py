"""The Program in tinygrad: a loop over the steps of a chunk, two jitted calls for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from tinygrad import Tensor, TinyJit

from backends.program import Tap
from tasks.task import MASK, Array, Chunk, State, Task, Tree

from .optimizers import step_rates, update
from .taps import recorded, tap

Tensors = Mapping[str, Tensor]
Forward = Callable[[Tensors, Tensors, Tensors], Tensors]
"""``forward(params, buffers, batch) -> outputs``, in evaluation mode."""
Loss = Callable[[Tensors, Tensors, Tensors], tuple[Tensor, Tensors]]
"""``loss(params, buffers, batch) -> loss, new buffers``; no dropout but by masks, or a key, in the
batch."""
KEY = "dropout key"
"""Among the arrays of a batch: what dropout draws from, (2,)."""


class Compiled:
    """A function of tensors by name, with a TinyJit for every set of shapes that it is given.

    A jit returns the same memory at every call, so that results are to be read before the next.
    """

    def __init__(self, function: Callable[[Tensors], Any]):
        self._function = function
        self._jits: dict[tuple[Any, ...], TinyJit[Any]] = {}

    def __call__(self, tensors: Tensors) -> Any:
        shapes = tuple((name, t.shape) for name, t in tensors.items())
        if shapes not in self._jits:
            self._jits[shapes] = TinyJit(self._function)
        return self._jits[shapes](tensors)

    def __len__(self) -> int:
        return len(self._jits)


class Program:
    """Implements ``backends.program.Program``."""

    def __init__(
        self,
        task: Task,
        state: State,
        seed: int | None,
        forward: Forward,
        loss: Loss,
        draws: bool = False,
    ):
        """``draws``: the model has dropout, which needs a key where a batch has no masks."""
        self._optimizer, self._seed, self._loss = task.optimizer, seed, loss
        self._draws = draws
        self._dtype = state.dtype
        self._params, self._buffers = self._on_device(state.params), self._on_device(state.buffers)
        self._slots = {slot: self._on_device(tree) for slot, tree in state.slots.items()}
        self._step = state.step
        self._gradient = Compiled(self._value_and_gradients)
        self._update = Compiled(self._updated)
        self._factors = Compiled(self._dropout_factors)
        self._predict = Compiled(lambda batch: forward(self._params, self._buffers, batch))

    def _on_device(self, tree: Tree) -> Tensors:
        (tensors,) = self._all_on_device([tree])
        return tensors

    def _all_on_device(self, trees: Iterable[Tree]) -> list[Tensors]:
        """Copies to the device, in the program's precision, all at once: each alone takes twice."""

        def cast(a: Array) -> Array:
            return a.astype(self._dtype) if a.dtype.kind == "f" else a

        copies: list[Tensors] = [{n: Tensor(cast(a)) for n, a in tree.items()} for tree in trees]
        if tensors := [t for tree in copies for t in tree.values()]:
            Tensor.realize(*tensors)
        return copies

    def place(self, chunk: Chunk) -> list[Tensors]:
        """The chunk's batches, one per step."""
        steps = range(len(next(iter(chunk.values()))))
        return self._all_on_device({n: a[step] for n, a in chunk.items()} for step in steps)

    def train(self, placed: list[Tensors]) -> Array:
        losses = np.empty(len(placed), self._dtype)
        rates = step_rates(self._optimizer, self._step, len(placed), self._dtype)
        for number, batch in enumerate(placed):
            loss, gradients, buffers = self._gradient(self._keyed(batch))
            losses[number] = loss.item()
            own = {name: Tensor(r[number : number + 1]).realize() for name, r in rates.items()}
            self._update({**own, **gradients, **buffers})
            self._step += 1
        return losses

    def _value_and_gradients(self, batch: Tensors) -> tuple[Tensor, Tensors, Tensors]:
        loss, buffers = self._loss(self._params, self._buffers, batch)
        gradients = loss.gradient(*self._params.values())
        return loss, dict(zip(self._params, gradients, strict=True)), buffers

    def _updated(self, given: Tensors) -> list[Tensor]:
        """One update in place, of rates, gradients and new buffers by name."""
        renewed = [b.assign(given[name]) for name, b in self._buffers.items()]
        return renewed + update(self._optimizer, self._params, self._slots, given)

    def predict(self, placed: list[Tensors]) -> Tree:
        outputs = [_on_host(self._predict(batch)) for batch in placed]
        return {name: np.stack([o[name] for o in outputs]) for name in outputs[0]}

    def gradients(self, placed: list[Tensors]) -> tuple[float, Tree]:
        loss, gradients, _ = self._gradient(self._keyed(placed[0]))
        return float(loss.item()), _on_host(gradients)

    def taps(self, placed: list[Tensors]) -> Mapping[str, Tap]:
        """Implements ``backends.program.Tapping``: autograd gives any tensor's cotangent."""
        with recorded() as record:
            loss, _ = self._loss(self._params, self._buffers, self._keyed(placed[0]))
            tap("loss", loss)
        values = {name: x for name, x in record.items() if not name.startswith(MASK)}
        cotangents = dict(zip(values, loss.gradient(*values.values()), strict=True))
        seen, backwards = _on_host(values), _on_host(cotangents)
        return {name: (seen[name], backwards[name]) for name in values}

    def dropout(self, placed: list[Tensors]) -> Tree:
        factors = self._factors(self._keyed(placed[0]))
        return {n.removeprefix(MASK): a for n, a in _on_host(factors).items()}

    def _dropout_factors(self, batch: Tensors) -> Tensors:
        with recorded() as record:
            self._loss(self._params, self._buffers, batch)
        return {name: x for name, x in record.items() if name.startswith(MASK)}

    def _keyed(self, batch: Tensors) -> Tensors:
        """The batch of this step, with the key that its dropout is drawn from.

        A random number generator of tinygrad's own would be captured by the jit with its seed.
        """
        if self._seed is None or not self._draws:
            return batch
        key = np.random.SeedSequence((self._seed, self._step)).generate_state(2)
        return {**batch, KEY: Tensor(key).realize()}

    def device(self) -> str:
        found: str = next(iter(self._params.values())).device  # CPU
        return found.lower()

    def compilations(self) -> int:
        return sum(map(len, (self._gradient, self._update, self._predict)))

    def state(self) -> State:
        slots = {slot: _on_host(tree) for slot, tree in self._slots.items()}
        return State(_on_host(self._params), slots, _on_host(self._buffers), self._step)

    def restore(self, state: State) -> None:
        """Into the memory that the jits have captured."""
        self._copy(state.params, self._params)
        self._copy(state.buffers, self._buffers)
        for slot, tree in state.slots.items():
            self._copy(tree, self._slots[slot])
        self._step = state.step

    def _copy(self, tree: Tree, tensors: Tensors) -> None:
        for name, new in self._on_device(tree).items():
            tensors[name].assign(new).realize()


def _on_host(tensors: Tensors) -> Tree:
    """Copies: ``numpy`` alone gives memory that the next call of a jit writes to."""
    return {name: t.numpy().copy() for name, t in tensors.items()}
