"""The Program in JAX: a scan over the steps of a chunk inside one jit, with donated state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from backends.jax.dropout import recorded
from backends.jax.optimizers import Slots, step_rates, update
from backends.jax.taps import taps_of
from backends.program import Tap
from tasks.task import Array, Chunk, State, Task, Tree

Arrays = Mapping[str, jax.Array]
Forward = Callable[[Arrays, Arrays, Arrays], Arrays]
"""``forward(params, buffers, batch) -> outputs``, in evaluation mode."""
Loss = Callable[[Arrays, Arrays, Arrays, jax.Array | None], tuple[jax.Array, Arrays]]
"""``loss(params, buffers, batch, key) -> loss, new buffers``; no key, no dropout
but by masks in the batch."""
Canonical = Callable[[Arrays, str, jax.Array], jax.Array]
"""``canonical(batch, name, x)``: a tap in the layout that all backends share; linear in x."""
NARROW = 32
"""The last axis of leaves that are updated as one axis has at most so many entries."""


class Program:
    """Implements ``backends.program.Program``."""

    def __init__(
        self,
        task: Task,
        state: State,
        seed: int | None,
        forward: Forward,
        loss: Loss,
        options: dict[str, str] | None = None,
        canonical: Canonical | None = None,
    ):
        """``options`` are XLA's for compiling the training."""
        gradient = partial(_gradient, loss, task.frozen)

        def key(step: jax.Array) -> jax.Array | None:
            return None if seed is None else jax.random.fold_in(jax.random.key(seed), step)

        shapes = {name: leaf.shape for name, leaf in state.params.items()}

        def step(carry: Any, inputs: Any) -> Any:
            flat, slots, buffers = carry
            batch, number, rates = inputs
            params = _shaped(flat, shapes)
            (value, buffers), gradients = gradient(params, buffers, batch, key(number))
            trained: Arrays = {name: flat[name] for name in gradients}
            trained, slots = update(task.optimizer, trained, _flat(gradients), slots, rates)
            return ({**flat, **trained}, slots, buffers), value

        def train(carry: Any, chunk: Arrays, numbers: jax.Array, rates: Arrays) -> Any:
            params, slots, buffers = carry
            carry = _flat(params), {slot: _flat(tree) for slot, tree in slots.items()}, buffers
            carry, losses = jax.lax.scan(step, carry, (chunk, numbers, rates))
            flat, slots, buffers = carry
            slots = {slot: _shaped(tree, shapes) for slot, tree in slots.items()}
            return (_shaped(flat, shapes), slots, buffers), losses

        def predict(params: Arrays, buffers: Arrays, chunk: Arrays) -> Arrays:
            outputs: Arrays = jax.lax.map(lambda batch: forward(params, buffers, batch), chunk)
            return outputs

        def first_gradient(params: Arrays, buffers: Arrays, batch: Arrays, number: int) -> Any:
            (value, _), gradients = gradient(params, buffers, batch, key(jnp.asarray(number)))
            return value, gradients

        def factors(params: Arrays, buffers: Arrays, batch: Arrays, number: int) -> Arrays:
            with recorded() as record:
                loss(params, buffers, batch, key(jnp.asarray(number)))
            return record

        self._optimizer, self._loss, self._key = task.optimizer, loss, key
        self._canonical = canonical
        self._params: Arrays
        self._slots: Slots
        self._buffers: Arrays
        self._dtype = state.dtype
        self._train = jax.jit(train, donate_argnums=0, compiler_options=options)
        self._predict, self._gradient = jax.jit(predict), jax.jit(first_gradient)
        self._factors = jax.jit(factors)
        rehearse = partial(_rehearse, loss, gradient, key, task.frozen)
        self._rehearse = jax.jit(rehearse, static_argnums=4, compiler_options=options)
        self.restore(state)

    def place(self, chunk: Chunk) -> Arrays:
        cast = {
            name: a.astype(self._dtype, copy=False) if a.dtype.kind == "f" else a
            for name, a in chunk.items()
        }
        placed: Arrays = jax.block_until_ready(jax.device_put(cast))
        return placed

    def train(self, placed: Arrays) -> Array:
        count = len(next(iter(placed.values())))
        numbers = np.arange(self._step, self._step + count, dtype=np.uint32)
        rates = step_rates(self._optimizer, self._step, count, self._dtype)
        carry = (self._params, self._slots, self._buffers)
        result = self._train(carry, placed, numbers, rates)
        (self._params, self._slots, self._buffers), losses = jax.block_until_ready(result)
        self._step += count
        return np.asarray(losses)

    def rehearse(self, placed: Arrays, gradients: bool) -> tuple[Array, list[jax.Array]]:
        """Implements ``backends.program.Rehearsing``."""
        count = len(next(iter(placed.values())))
        numbers = np.arange(self._step, self._step + count, dtype=np.uint32)
        made = self._rehearse(self._params, self._buffers, placed, numbers, gradients)
        last, losses = jax.block_until_ready(made)
        return np.asarray(losses), list(last.values())

    def predict(self, placed: Arrays) -> Tree:
        outputs = self._predict(self._params, self._buffers, placed)
        return {name: np.asarray(a) for name, a in outputs.items()}

    def gradients(self, placed: Arrays) -> tuple[float, Tree]:
        batch = {name: a[0] for name, a in placed.items()}
        loss, gradients = self._gradient(self._params, self._buffers, batch, self._step)
        return float(loss), {name: np.asarray(g) for name, g in gradients.items()}

    def taps(self, placed: Arrays) -> Mapping[str, Tap]:
        """Implements ``backends.program.Tapping``."""
        batch = {name: a[0] for name, a in placed.items()}
        key, view = self._key(jnp.asarray(self._step)), None
        if self._canonical is not None:
            view = partial(self._canonical, batch)
        return taps_of(lambda: self._loss(self._params, self._buffers, batch, key)[0], view)

    def dropout(self, placed: Arrays) -> Tree:
        batch = {name: a[0] for name, a in placed.items()}
        found = self._factors(self._params, self._buffers, batch, self._step)
        return {layer: np.asarray(a) for layer, a in found.items()}

    def device(self) -> str:
        (found,) = next(iter(self._params.values())).devices()
        return "cpu" if found.platform == "cpu" else f"cuda:{found.id}"

    def compilations(self) -> int:
        jitted: tuple[Any, ...] = (self._train, self._predict, self._gradient)
        return sum(function._cache_size() for function in jitted)

    def state(self) -> State:
        def copied(tree: Arrays) -> Tree:
            # np.array copies: donation lets XLA overwrite these buffers in the next chunk
            return {name: np.array(leaf) for name, leaf in tree.items()}

        slots = {slot: copied(tree) for slot, tree in self._slots.items()}
        return State(copied(self._params), slots, copied(self._buffers), self._step)

    def restore(self, state: State) -> None:
        def copied(tree: Tree) -> Arrays:
            # jnp.array copies: a donated buffer must not be the caller's memory
            return {name: jnp.array(leaf, dtype=self._dtype) for name, leaf in tree.items()}

        self._params = copied(state.params)
        self._slots = {slot: copied(tree) for slot, tree in state.slots.items()}
        self._buffers = copied(state.buffers)
        self._step = state.step


def _flat(tree: Arrays) -> Arrays:
    """Narrow leaves as leaves of one axis, in which they are updated.

    XLA's loops run over the last axis: an update of the embedding (5000, 20), two vectors and four
    single entries at a time, took twice as long. Wide ones have nothing to gain.
    """
    return {k: leaf if leaf.shape[-1:] > (NARROW,) else leaf.ravel() for k, leaf in tree.items()}


def _shaped(tree: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """The inverse of ``_flat``."""
    return {name: leaf.reshape(shapes[name]) for name, leaf in tree.items()}


def _gradient(
    loss: Loss, frozen: Sequence[str], params: Arrays, *given: Any
) -> tuple[tuple[jax.Array, Arrays], Arrays]:
    """The loss with the new buffers, and its gradients by the parameters that are not frozen."""
    fixed = {name: params[name] for name in frozen}
    trained = {name: p for name, p in params.items() if name not in fixed}

    def loss_of(trained: Arrays) -> tuple[jax.Array, Arrays]:
        return loss({**trained, **fixed}, *given)

    found: tuple[tuple[jax.Array, Arrays], Arrays]
    found = jax.value_and_grad(loss_of, has_aux=True)(trained)
    return found


def _rehearse(
    loss: Loss,
    gradient: Callable[..., Any],
    key: Callable[[jax.Array], jax.Array | None],
    frozen: Sequence[str],
    params: Arrays,
    buffers: Arrays,
    chunk: Arrays,
    numbers: jax.Array,
    gradients: bool,
) -> tuple[Arrays, jax.Array]:
    """The last gradients, if they are wanted, and the losses of all steps from one state."""

    def step(last: Any, inputs: Any) -> Any:
        batch, number = inputs
        if not gradients:
            return last, loss(params, buffers, batch, key(number))[0]
        (value, _), made = gradient(params, buffers, batch, key(number))
        return made, value

    # gradients are carried from step to step, or XLA would not compute them
    zeros = {name: jnp.zeros_like(p) for name, p in params.items() if name not in frozen}
    last = zeros if gradients else {}
    found: tuple[Arrays, jax.Array] = jax.lax.scan(step, last, (chunk, numbers))
    return found
