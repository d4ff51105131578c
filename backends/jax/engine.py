"""The Program in JAX: a scan over the steps of a chunk inside one jit, with donated state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from backends.jax.optimizers import Slots, update
from suite.contract import Array, Chunk, State, Task, Tree

Arrays = Mapping[str, jax.Array]
Forward = Callable[[Arrays, Arrays], Arrays]
Loss = Callable[[Arrays, Arrays], jax.Array]


class Program:
    """Implements ``suite.contract.Program``."""

    def __init__(self, task: Task, state: State, forward: Forward, loss: Loss):
        gradient = jax.value_and_grad(loss)

        def step(carry: tuple[Arrays, Slots], batch: Arrays) -> Any:
            params, slots = carry
            value, gradients = gradient(params, batch)
            return update(task.optimizer, params, gradients, slots), value

        def train(params: Arrays, slots: Slots, chunk: Arrays) -> Any:
            return jax.lax.scan(step, (params, slots), chunk)

        def predict(params: Arrays, chunk: Arrays) -> Arrays:
            outputs: Arrays = jax.lax.map(lambda batch: forward(params, batch), chunk)
            return outputs

        self._params: Arrays
        self._slots: Slots
        self._dtype = state.dtype
        self._train = jax.jit(train, donate_argnums=(0, 1))
        self._predict, self._gradient = jax.jit(predict), jax.jit(gradient)
        self.restore(state)

    def place(self, chunk: Chunk) -> Arrays:
        cast = {
            name: a.astype(self._dtype, copy=False) if a.dtype.kind == "f" else a
            for name, a in chunk.items()
        }
        placed: Arrays = jax.block_until_ready(jax.device_put(cast))
        return placed

    def train(self, placed: Arrays) -> Array:
        result = self._train(self._params, self._slots, placed)
        (self._params, self._slots), losses = jax.block_until_ready(result)
        self._step += len(losses)
        return np.asarray(losses)

    def predict(self, placed: Arrays) -> Tree:
        return {name: np.asarray(a) for name, a in self._predict(self._params, placed).items()}

    def gradients(self, placed: Arrays) -> tuple[float, Tree]:
        loss, gradients = self._gradient(self._params, {k: a[0] for k, a in placed.items()})
        return float(loss), {name: np.asarray(g) for name, g in gradients.items()}

    def state(self) -> State:
        def copied(tree: Arrays) -> Tree:
            # np.array copies: donation lets XLA overwrite these buffers in the next chunk
            return {name: np.array(leaf) for name, leaf in tree.items()}

        slots = {slot: copied(tree) for slot, tree in self._slots.items()}
        return State(copied(self._params), slots, self._step)

    def restore(self, state: State) -> None:
        def copied(tree: Tree) -> Arrays:
            # jnp.array copies: a donated buffer must not be the caller's memory
            return {name: jnp.array(leaf, dtype=self._dtype) for name, leaf in tree.items()}

        self._params = copied(state.params)
        self._slots = {slot: copied(tree) for slot, tree in state.slots.items()}
        self._step = state.step
