"""Autoencoder whose code is clustered, in NumPy, with its backward pass by hand."""

from __future__ import annotations

from backends.numpy.arrays import xp
from backends.numpy.engine import Backward, Key, Program
from backends.numpy.layers import (
    Saved,
    dense,
    dense_backward,
    dense_backward_params,
    l2_normalize,
    l2_normalize_backward,
    relu,
    relu_backward,
)
from backends.numpy.taps import tap, tap_back
from tasks.task import Array, State, Task, Tree

Tape = list[tuple[str, Saved, Saved | None]]
"""Layer by layer: its name, what ``dense`` saved, what ``relu`` saved (None for the last)."""


def forward(params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Codes (n, code) and squared errors (n,) from inputs (n, inputs)."""
    x = batch["inputs"]
    a, _ = _layers(params, "encoder", x)
    codes = _normalized(a)[0]
    errors, _ = _layers(params, "decoder", codes)
    errors -= x  # (n, inputs)
    return {"codes": codes, "squared_error": xp.einsum("ij,ij->i", errors, errors)}


def loss(params: Tree, buffers: Tree, batch: Tree, key: Key | None) -> tuple[Array, Tree, Backward]:
    """Mean over the batch of the squared error, plus the penalty where the batch has centres."""
    x = batch["inputs"]
    a, encoder = _layers(params, "encoder", x)
    codes, saved_norm = _normalized(a)
    tap("codes", codes)
    errors, decoder = _layers(params, "decoder", codes)
    errors -= x  # (n, inputs)
    total: Array = xp.asarray(xp.vdot(errors, errors))
    away: Array | None = None
    if "centres" in batch:
        away = codes - batch["centres"]
        total += batch["penalty"] * xp.vdot(away, away)

    def backward(cotangent: float) -> Tree:
        factor = 2 * cotangent / len(x)
        da, gradients = _layers_backward(errors * factor, decoder)
        dcodes = da @ params["decoder.hidden1.kernel"].T
        if away is not None:
            dcodes += away * (factor * batch["penalty"])
        tap_back("codes", dcodes)
        da = _normalized_backward(dcodes, saved_norm)
        _, more = _layers_backward(da, encoder)
        return {**more, **gradients}

    return total / len(x), buffers, backward


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, loss)


def _normalized(a: Array) -> tuple[Array, Saved]:
    """sqrt(code) a / max(|a|, 1e-12), row by row, for a (n, code)."""
    y, saved = l2_normalize(a)
    return y * a.shape[1] ** 0.5, saved


def _normalized_backward(dz: Array, saved: Saved) -> Array:
    return l2_normalize_backward(dz * dz.shape[1] ** 0.5, saved)


def _layers(params: Tree, part: str, x: Array) -> tuple[Array, Tape]:
    """The dense layers of one part, ``hidden1``, ..., ``output``, with ReLU on all but the last."""
    names = [n.removesuffix(".bias") for n in params if n.startswith(part) and n.endswith(".bias")]
    tape: Tape = []
    for name in names:
        x, saved = dense(x, params[f"{name}.kernel"], params[f"{name}.bias"])
        tap(name, x)
        saved_relu = None
        if name != names[-1]:
            x, saved_relu = relu(x, out=x)
            tap(f"{name}_activation", x)
        tape.append((name, saved, saved_relu))
    return x, tape


def _layers_backward(dy: Array, tape: Tape) -> tuple[Array, dict[str, Array]]:
    """The gradient with respect to the first layer's pre-activation, and of all parameters.

    What comes before the first layer is the caller's: before the encoder's, nothing is needed.
    """
    gradients = {}
    for name, saved, saved_relu in reversed(tape):
        if saved_relu is not None:
            relu_backward(tap_back(f"{name}_activation", dy), saved_relu, out=dy)
        da = tap_back(name, dy)
        if name == tape[0][0]:
            dw, db = dense_backward_params(da, saved)
        else:
            dy, dw, db = dense_backward(da, saved)
        gradients[f"{name}.kernel"], gradients[f"{name}.bias"] = dw, db
    return da, gradients
