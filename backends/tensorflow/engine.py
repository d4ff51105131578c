"""The Program in TensorFlow: a loop over the steps of a chunk inside one ``tf.function``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import keras
import numpy as np
import tensorflow as tf

import backends.tensorflow
from backends.program import Tap
from backends.tensorflow import layers
from backends.tensorflow.dropout import recorded
from backends.tensorflow.optimizers import Updater
from backends.tensorflow.taps import recorded as taps_recorded, tap
from tasks.task import Array, Chunk, State, Task, Tree, require_leaves

Batch = Mapping[str, tf.Tensor]
Forward = Callable[[keras.Model, Batch], Mapping[str, tf.Tensor]]
Loss = Callable[[keras.Model, Batch], tf.Tensor]
Gradients = Callable[[Batch, tf.Tensor], tuple[tf.Tensor, list[tf.Tensor]]]
Canonical = Callable[[Batch, str, tf.Tensor], tf.Tensor]
"""``canonical(batch, name, x)``: a tap, or its cotangent, in the layout that all backends share."""


class Program:
    """Implements ``backends.program.Program``."""

    def __init__(
        self,
        task: Task,
        state: State,
        seed: int | None,
        model: keras.Model,
        forward: Forward,
        loss: Loss,
        canonical: Canonical | None = None,
    ):
        self._model, self._forward, self._loss, self._seed = model, forward, loss, seed
        self._canonical = canonical
        self._params = dict(layers.parameters(model))
        require_leaves({name: tuple(p.shape) for name, p in self._params.items()}, state)
        self._buffers = dict(layers.buffers(model))
        self._dropouts = list(layers.dropouts(model))
        for dropout in self._dropouts:
            dropout.draws = seed is not None
        self._dtype = state.dtype
        self._trained = {name: p for name, p in self._params.items() if name not in task.frozen}
        self._updater = Updater(task.optimizer, list(self._trained.values()))
        self._gradients: Gradients = self._value_and_gradients
        xla = backends.tensorflow.mode == "xla"
        self._train = tf.function(self._train_chunk, autograph=False, jit_compile=xla or None)
        # in training's way: XLA draws other numbers
        self._factors = tf.function(self._dropout_factors, autograph=False, jit_compile=xla or None)
        if xla:
            self._gradients = tf.function(self._gradients, autograph=False, jit_compile=True)
        self._rehearse = tf.function(self._rehearse_chunk, autograph=False, jit_compile=xla or None)
        self._predict = tf.function(self._predict_step, autograph=False)
        self.restore(state)

    def _value_and_gradients(
        self, batch: Batch, step: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """``step`` counts the updates before this one: dropout draws from it."""
        self._seed_dropout(step)
        trained = list(self._trained.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trained)  # and nothing that is frozen
            value = self._loss(self._model, batch)
        gradients = tape.gradient(value, trained)
        return value, [tf.convert_to_tensor(g) for g in gradients]  # dense where rows were gathered

    def _seed_dropout(self, step: tf.Tensor) -> None:
        if self._seed is None:
            return
        for number, dropout in enumerate(self._dropouts):
            state = tf.stack([tf.constant(dropout_seed(self._seed, number), tf.int64), step])
            generator = dropout.seed_generator.state
            generator.assign(tf.cast(state, generator.dtype))

    def _dropout_factors(self, batch: Batch, step: tf.Tensor) -> Mapping[str, tf.Tensor]:
        self._seed_dropout(step)
        with recorded(self._dropouts) as record:
            self._loss(self._model, batch)
        return record

    def _train_chunk(self, chunk: Batch, first: tf.Tensor, rates: Batch) -> tf.Tensor:
        steps = _steps(chunk)

        def body(step: tf.Tensor, losses: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            made = first + tf.cast(step, tf.int64)
            value, gradients = self._value_and_gradients(_batch(chunk, step), made)
            self._updater.apply(gradients, _batch(rates, step))
            return step + 1, losses.write(step, value)

        losses = tf.TensorArray(self._dtype, steps)
        _, losses = tf.while_loop(lambda step, _: step < steps, body, (0, losses))
        return losses.stack()

    def _rehearse_chunk(
        self, chunk: Batch, step: tf.Tensor, gradients: bool
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        steps = _steps(chunk)

        def body(
            number: tf.Tensor, losses: tf.TensorArray, last: list[tf.Tensor]
        ) -> tuple[tf.Tensor, tf.TensorArray, list[tf.Tensor]]:
            batch = _batch(chunk, number)
            if gradients:
                value, last = self._value_and_gradients(batch, step)
            else:
                self._seed_dropout(step)
                value = self._loss(self._model, batch)
            return number + 1, losses.write(number, value), last

        # gradients are carried from step to step, or they would not be computed
        last = [tf.zeros_like(p) for p in self._trained.values()] if gradients else []
        begin = (0, tf.TensorArray(self._dtype, steps), last)
        # one after the other, as updates are
        _, losses, last = tf.while_loop(
            lambda number, *_: number < steps, body, begin, parallel_iterations=1
        )
        return losses.stack(), last

    def _predict_step(self, chunk: Batch, step: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return self._forward(self._model, _batch(chunk, step))

    def place(self, chunk: Chunk) -> Batch:
        return {
            name: tf.constant(a, dtype=self._dtype if a.dtype.kind == "f" else None)
            for name, a in chunk.items()
        }

    def train(self, placed: Batch) -> Array:
        first = tf.constant(self._step, tf.int64)  # a Python integer would retrace
        rates = self._updater.rates(self._step, _steps(placed))
        losses: Array = self._train(placed, first, rates).numpy()
        self._step += len(losses)
        tf.test.experimental.sync_devices()
        return losses

    def rehearse(self, placed: Batch, gradients: bool) -> tuple[Array, list[tf.Tensor]]:
        """Implements ``backends.program.Rehearsing``."""
        with self._buffers_kept():
            losses, last = self._rehearse(placed, tf.constant(self._step, tf.int64), gradients)
            found: Array = losses.numpy()
        tf.test.experimental.sync_devices()
        return found, last

    def predict(self, placed: Batch) -> Tree:
        steps = tf.range(_steps(placed))  # a Python integer would retrace
        outputs = [self._predict(placed, step) for step in steps]
        return {name: np.stack([o[name] for o in outputs]) for name in outputs[0]}

    @contextmanager
    def _buffers_kept(self) -> Iterator[None]:
        """The buffers are afterwards what they were."""
        before = {name: b.numpy() for name, b in self._buffers.items()}
        yield
        for name, b in self._buffers.items():
            b.assign(before[name])

    def taps(self, placed: Batch) -> Mapping[str, Tap]:
        """Implements ``backends.program.Tapping``: eagerly, whatever the mode compiles."""
        batch = _batch(placed, 0)
        view = None if self._canonical is None else partial(self._canonical, batch)
        self._seed_dropout(tf.constant(self._step, tf.int64))
        own = list(layers.leaves(self._model))
        with self._buffers_kept(), taps_recorded(own, view) as record:
            with tf.GradientTape() as tape:
                loss = tap("loss", self._loss(self._model, batch))
            return record.taps(loss, tape)

    def dropout(self, placed: Batch) -> Tree:
        with self._buffers_kept():
            found = self._factors(_batch(placed, 0), tf.constant(self._step, tf.int64))
        return {layer: factors.numpy() for layer, factors in found.items()}

    def gradients(self, placed: Batch) -> tuple[float, Tree]:
        step = tf.constant(self._step, tf.int64)
        with self._buffers_kept():
            value, gradients = self._gradients(_batch(placed, 0), step)
        named = zip(self._trained, gradients, strict=True)
        return float(value), {name: g.numpy() for name, g in named}

    def device(self) -> str:
        found = tf.DeviceSpec.from_string(next(iter(self._params.values())).device)
        return "cpu" if found.device_type == "CPU" else f"cuda:{found.device_index}"

    def compilations(self) -> int:
        traced = (self._train, self._predict)
        return sum(function.experimental_get_tracing_count() for function in traced)

    def state(self) -> State:
        params = {name: p.numpy() for name, p in self._params.items()}
        slots = {
            slot: {n: v.numpy() for n, v in zip(self._trained, variables, strict=True)}
            for slot, variables in self._updater.slots.items()
        }
        buffers = {name: b.numpy() for name, b in self._buffers.items()}
        return State(params, slots, buffers, self._step).astype(self._dtype)

    def restore(self, state: State) -> None:
        for name, p in self._params.items():
            p.assign(np.asarray(state.params[name], self._dtype))
        for i, name in enumerate(self._trained):
            for slot, variables in self._updater.slots.items():
                variables[i].assign(np.asarray(state.slots[slot][name], self._dtype))
        for name, b in self._buffers.items():
            b.assign(np.asarray(state.buffers[name], self._dtype))
        self._step = state.step


def dropout_seed(seed: int, layer: int) -> int:
    """A seed of its own for every dropout layer, 31 bits."""
    return int(np.random.SeedSequence(seed, spawn_key=(1, layer)).generate_state(1)[0] >> 1)


def _batch(chunk: Batch, step: tf.Tensor | int) -> Batch:
    return {name: t[step] for name, t in chunk.items()}


def _steps(chunk: Batch) -> int:
    return int(next(iter(chunk.values())).shape[0])
