"""Character language model in NumPy, with its backward pass by hand."""

from __future__ import annotations

from backends.numpy.arrays import xp
from backends.numpy.engine import Backward, Key, Program
from backends.numpy.layers import (
    dense,
    dense_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from backends.numpy.recurrent import lstm, lstm_backward
from backends.numpy.taps import tap, tap_back
from tasks.task import Array, State, Task, Tree

PIECE = 64
"""Steps that evaluation holds in memory at a time."""


def _input_table(params: Tree) -> Array:
    """Contribution of each character to the gates, (characters, 4H).

    It takes a product of 65 rows, not one of every input.
    """
    table = params["embedding.kernel"] @ params["lstm.kernel"]
    table += params["lstm.bias"]
    return table


def forward(params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Cross-entropies [nats] (n, T) from inputs and targets (n, T), from the batch's own state.

    Also the logits (n, characters) after the last input and the state (n, H) there.
    """
    table, w, h, c = _input_table(params), params["lstm.recurrent"], batch["hidden"], batch["cell"]
    inputs, targets = batch["inputs"].T, batch["targets"].T  # (T, n)
    nats = xp.empty(targets.shape, w.dtype)
    for start in range(0, len(inputs), PIECE):
        piece = slice(start, start + PIECE)
        states, c, _ = lstm(table, inputs[piece], w, h, c)
        h = states[-1]
        z, _ = dense(states, params["output.kernel"], params["output.bias"])
        picked = xp.take_along_axis(z, targets[piece][..., None], axis=2)[..., 0]
        top = z.max(axis=2)
        nats[piece] = xp.log(xp.exp(z - top[..., None]).sum(axis=2)) + top - picked
    return {"nats": nats.T, "logits": z[-1], "hidden": h, "cell": c}


def loss(params: Tree, buffers: Tree, batch: Tree, key: Key | None) -> tuple[Array, Tree, Backward]:
    """Mean cross-entropy from inputs and targets (n, T), the state after, and the way back."""
    kept = 1 - batch["reset"]
    h, c = buffers["carry.hidden"] * kept, buffers["carry.cell"] * kept
    tap("carry.hidden", h)
    tap("carry.cell", c)
    ids, targets = batch["inputs"].T, batch["targets"].T.reshape(-1)
    states, c, saved_lstm = lstm(_input_table(params), ids, params["lstm.recurrent"], h, c)
    tap("lstm", states)
    tap("lstm_cell", c)
    flat = states.reshape(len(targets), -1)  # (T n, H)
    logits, saved_output = dense(flat, params["output.kernel"], params["output.bias"])
    tap("output", logits)
    value, saved_loss = softmax_cross_entropy(logits, targets)

    def backward(cotangent: float) -> Tree:
        dlogits = softmax_cross_entropy_backward(cotangent, saved_loss)
        dh, dw_output, db_output = dense_backward(tap_back("output", dlogits), saved_output)
        dstates = tap_back("lstm", dh.reshape(states.shape))
        dtable, dw_recurrent = lstm_backward(dstates, saved_lstm)
        return {
            "embedding.kernel": dtable @ params["lstm.kernel"].T,
            "lstm.kernel": params["embedding.kernel"].T @ dtable,
            "lstm.recurrent": dw_recurrent,
            "lstm.bias": dtable.sum(axis=0),
            "output.kernel": dw_output,
            "output.bias": db_output,
        }

    return value, {"carry.hidden": states[-1], "carry.cell": c}, backward


def _canonical(batch: Tree, name: str, x: Array) -> Array:
    """The logits (T n, characters) as (T, n, characters)."""
    return x.reshape(*batch["inputs"].T.shape, -1) if name == "output" else x


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, loss, _canonical)
