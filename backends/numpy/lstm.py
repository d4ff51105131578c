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
from backends.numpy.recurrent import Saved, lstm, lstm_backward, rnn, rnn_backward
from backends.numpy.taps import tap, tap_back
from tasks.task import Array, State, Task, Tree

PIECE = 64
"""Steps that evaluation holds in memory at a time."""
CARRY = "carry."
"""Before the name of a part of the state, among the buffers."""


def _layer(params: Tree) -> str:
    """The recurrent layer: ``lstm``, or ``rnn`` of the variant."""
    return "rnn" if "rnn.kernel" in params else "lstm"


def _recurrent(params: Tree, ids: Array, state: Tree) -> tuple[Array, Tree, Saved]:
    """Hidden states (T, n, H) of ids (T, n) and the state (n, H) after, from the state before."""
    layer = _layer(params)
    # what each character adds takes a product of 65 rows, not one of every input
    table = params["embedding.kernel"] @ params[f"{layer}.kernel"]
    table += params[f"{layer}.bias"]
    w, h = params[f"{layer}.recurrent"], state["hidden"]
    if layer == "rnn":
        states, saved = rnn(table, ids, w, h)
        return states, {"hidden": states[-1]}, saved
    states, c, saved = lstm(table, ids, w, h, state["cell"])
    return states, {"hidden": states[-1], "cell": c}, saved


def forward(params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Cross-entropies [nats] (n, T) from inputs and targets (n, T), from the batch's own state.

    Also the logits (n, characters) after the last input and the state (n, H) there.
    """
    state: Tree = {name: batch[name] for name in ("hidden", "cell") if name in batch}
    inputs, targets = batch["inputs"].T, batch["targets"].T  # (T, n)
    nats = xp.empty(targets.shape, state["hidden"].dtype)
    for start in range(0, len(inputs), PIECE):
        piece = slice(start, start + PIECE)
        states, state, _ = _recurrent(params, inputs[piece], state)
        z, _ = dense(states, params["output.kernel"], params["output.bias"])
        picked = xp.take_along_axis(z, targets[piece][..., None], axis=2)[..., 0]
        top = z.max(axis=2)
        nats[piece] = xp.log(xp.exp(z - top[..., None]).sum(axis=2)) + top - picked
    return {"nats": nats.T, "logits": z[-1], **state}


def loss(params: Tree, buffers: Tree, batch: Tree, key: Key | None) -> tuple[Array, Tree, Backward]:
    """Mean cross-entropy from inputs and targets (n, T), the state after, and the way back."""
    kept, layer = 1 - batch["reset"], _layer(params)
    state: Tree = {name.removeprefix(CARRY): tap(name, b * kept) for name, b in buffers.items()}
    ids, targets = batch["inputs"].T, batch["targets"].T.reshape(-1)
    states, state, saved_layer = _recurrent(params, ids, state)
    tap(layer, states)
    if "cell" in state:
        tap("lstm_cell", state["cell"])
    flat = states.reshape(len(targets), -1)  # (T n, H)
    logits, saved_output = dense(flat, params["output.kernel"], params["output.bias"])
    tap("output", logits)
    value, saved_loss = softmax_cross_entropy(logits, targets)

    def backward(cotangent: float) -> Tree:
        dlogits = softmax_cross_entropy_backward(cotangent, saved_loss)
        dh, dw_output, db_output = dense_backward(tap_back("output", dlogits), saved_output)
        dstates = tap_back(layer, dh.reshape(states.shape))
        recurrent_backward = rnn_backward if layer == "rnn" else lstm_backward
        dtable, dw_recurrent = recurrent_backward(dstates, saved_layer)
        return {
            "embedding.kernel": dtable @ params[f"{layer}.kernel"].T,
            f"{layer}.kernel": params["embedding.kernel"].T @ dtable,
            f"{layer}.recurrent": dw_recurrent,
            f"{layer}.bias": dtable.sum(axis=0),
            "output.kernel": dw_output,
            "output.bias": db_output,
        }

    return value, {f"{CARRY}{name}": part for name, part in state.items()}, backward


def _canonical(batch: Tree, name: str, x: Array) -> Array:
    """The logits (T n, characters) as (T, n, characters)."""
    return x.reshape(*batch["inputs"].T.shape, -1) if name == "output" else x


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, loss, _canonical)
