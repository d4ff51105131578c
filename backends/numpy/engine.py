"""The Program in NumPy: a loop over the steps of a chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from backends.numpy import arrays
from backends.numpy.arrays import xp
from backends.numpy.dropout import recorded
from backends.numpy.optimizers import Updater
from backends.numpy.taps import recorded as taps_recorded, tap, tap_back
from backends.program import Tap
from tasks.task import Array, Chunk, State, Task, Tree

Key = tuple[int, int]
"""(seed, step): what the dropout of a step is drawn from."""
Backward = Callable[[float], Tree]
"""From the cotangent of a loss, which is 1 in training, to the gradients of the parameters that
are not frozen."""
Forward = Callable[[Tree, Tree, Tree], Tree]
"""``forward(params, buffers, batch) -> outputs``, in evaluation mode."""
Loss = Callable[[Tree, Tree, Tree, Key | None], tuple[Array, Tree, Backward]]
"""``loss(params, buffers, batch, key) -> loss, new buffers, backward``; no key, no dropout
but by masks in the batch."""
Canonical = Callable[[Tree, str, Array], Array]
"""``canonical(batch, name, x)``: a tap, or its cotangent, in the layout that all backends share."""


class Program:
    """Implements ``backends.program.Program``; ``loss`` is what central differences check."""

    def __init__(
        self,
        task: Task,
        state: State,
        seed: int | None,
        forward: Forward,
        loss: Loss,
        canonical: Canonical | None = None,
    ):
        self._forward, self.loss, self._seed = forward, loss, seed
        self._canonical = canonical
        self._optimizer, self._frozen = task.optimizer, task.frozen
        self._dtype = state.dtype
        self._params: Tree
        self._buffers: Tree
        self._step: int
        self._updater: Updater
        self.restore(state)

    def place(self, chunk: Chunk) -> list[Tree]:
        """The chunk's batches, one per step, as views where precision and device already fit."""
        cast = {
            name: a.astype(self._dtype, copy=False) if a.dtype.kind == "f" else a
            for name, a in chunk.items()
        }
        placed = arrays.to_device(cast)
        arrays.synchronize()
        steps = len(next(iter(placed.values())))
        return [{name: a[step] for name, a in placed.items()} for step in range(steps)]

    def train(self, placed: list[Tree]) -> Array:
        losses = xp.empty(len(placed), self._dtype)
        self._updater.begin(self._step, len(placed))
        for number, batch in enumerate(placed):
            losses[number], self._buffers, backward = self.loss(
                self._params, self._buffers, batch, self._key()
            )
            self._updater.apply(backward(1.0), number)
            del backward  # and all that it keeps: the next step finds its memory in the cache
            self._step += 1
        found = arrays.to_host(losses)
        arrays.synchronize()
        return found

    def _key(self) -> Key | None:
        return None if self._seed is None else (self._seed, self._step)

    def predict(self, placed: list[Tree]) -> Tree:
        outputs = [self._forward(self._params, self._buffers, batch) for batch in placed]
        return {n: arrays.to_host(xp.stack([o[n] for o in outputs])) for n in outputs[0]}

    def gradients(self, placed: list[Tree]) -> tuple[float, Tree]:
        loss, _, backward = self.loss(self._params, self._buffers, placed[0], self._key())
        return float(loss), arrays.tree_to_host(backward(1.0))

    def rehearse(self, placed: list[Tree], gradients: bool) -> tuple[Array, list[Array]]:
        """Implements ``backends.program.Rehearsing``."""
        losses = xp.empty(len(placed), self._dtype)
        last: Tree = {}
        for number, batch in enumerate(placed):
            losses[number], _, backward = self.loss(self._params, self._buffers, batch, self._key())
            if gradients:
                last = backward(1.0)
            del backward  # as in training
        found = arrays.to_host(losses)
        arrays.synchronize()
        return found, list(last.values())

    def taps(self, placed: list[Tree]) -> Mapping[str, Tap]:
        """Implements ``backends.program.Tapping``."""
        batch = placed[0]
        view = None if self._canonical is None else partial(self._canonical, batch)
        with taps_recorded(view) as record:
            loss, _, backward = self.loss(self._params, self._buffers, batch, self._key())
            tap("loss", xp.asarray(loss))
            tap_back("loss", xp.ones(()))
            backward(1.0)
        return record.taps()

    def dropout(self, placed: list[Tree]) -> Tree:
        with recorded() as masks:
            self.loss(self._params, self._buffers, placed[0], self._key())
        return arrays.tree_to_host(masks)

    def device(self) -> str:
        return arrays.device_of(next(iter(self._params.values())))

    def compilations(self) -> int:
        return 0

    def state(self) -> State:
        own, slots = arrays.tree_to_host, self._updater.slots
        found = {slot: own(tree) for slot, tree in slots.items()}
        state = State(own(self._params), found, own(self._buffers), self._step)
        return state.astype(self._dtype)

    def restore(self, state: State) -> None:
        own = state.astype(self._dtype)  # a copy
        self._params, self._buffers = map(arrays.to_device, (own.params, own.buffers))
        slots = {slot: arrays.to_device(tree) for slot, tree in own.slots.items()}
        trained = {name: p for name, p in self._params.items() if name not in self._frozen}
        self._updater = Updater(self._optimizer, trained, slots)
        self._step = own.step
        arrays.synchronize()
