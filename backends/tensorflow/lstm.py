"""Character language model in TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from backends.tensorflow.engine import Batch, Program
from backends.tensorflow.kept import Kept
from backends.tensorflow.recurrent import LSTM, lstm
from backends.tensorflow.taps import tap
from tasks.task import State, Task


class _Characters(keras.Model):
    def __init__(self, characters: int, channels: int, carry: tuple[int, ...]):
        super().__init__()
        hidden = carry[1]
        self.embedding = keras.layers.Embedding(characters, channels, name="embedding")
        self.lstm = LSTM(channels, hidden, name="lstm")
        self.output_layer = keras.layers.Dense(characters, name="output")
        self.carry = Kept("carry", hidden=carry, cell=carry)
        self.embedding.build(None)
        self.output_layer.build((None, hidden))

    def input_table(self) -> tf.Tensor:
        """Contribution of each character to the gates: 65 rows, not one for every input."""
        return self.lstm.input_table(self.embedding.embeddings.value)


def forward(model: keras.Model, batch: Batch) -> Mapping[str, tf.Tensor]:
    """Cross-entropies [nats] (n, T) from inputs and targets (n, T), from the batch's own state.

    Also the logits (n, characters) after the last input and the state (n, H) there.
    """
    table = model.input_table()
    inputs, targets = tf.transpose(batch["inputs"]), tf.transpose(batch["targets"])  # (T, n)
    steps = inputs.shape[0]

    def body(t: tf.Tensor, nats: tf.TensorArray, h: tf.Tensor, c: tf.Tensor) -> tuple[object, ...]:
        h, c = model.lstm.step(tf.gather(table, inputs[t]), h, c)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=targets[t], logits=model.output_layer(h)
        )
        return t + 1, nats.write(t, losses), h, c

    start = (0, tf.TensorArray(table.dtype, steps), batch["hidden"], batch["cell"])
    _, nats, h, c = tf.while_loop(lambda t, *_: t < steps, body, start)
    logits = model.output_layer(h)
    return {"nats": tf.transpose(nats.stack()), "logits": logits, "hidden": h, "cell": c}


def loss(model: keras.Model, batch: Batch) -> tf.Tensor:
    """Mean cross-entropy from inputs and targets (n, T); the model's state moves on."""
    carry, kept = model.carry, 1 - batch["reset"]
    states, cell = lstm(
        model.input_table(),
        tf.transpose(batch["inputs"]),
        tf.convert_to_tensor(model.lstm.recurrent.value),
        tap("carry.hidden", carry.hidden.value * kept),
        tap("carry.cell", carry.cell.value * kept),
    )
    states, cell = tap("lstm", states), tap("lstm_cell", cell)
    carry.hidden.value.assign(states[-carry.hidden.shape[0] :])
    carry.cell.value.assign(cell)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.reshape(tf.transpose(batch["targets"]), [-1]), logits=model.output_layer(states)
    )
    return tf.reduce_mean(losses)


def _canonical(batch: Batch, name: str, x: tf.Tensor) -> tf.Tensor:
    """States and logits (T n, any) as (T, n, any)."""
    shape = (*batch["inputs"].shape[::-1], -1)
    return tf.reshape(x, shape) if name in ("lstm", "output") else x


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    characters, channels = state.params["embedding.kernel"].shape
    model = _Characters(characters, channels, state.buffers["carry.hidden"].shape)
    return Program(task, state, seed, model, forward, loss, _canonical)
