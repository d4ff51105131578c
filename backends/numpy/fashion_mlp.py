"""Fashion-MNIST multi-layer perceptron in NumPy, with its backward pass by hand."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from backends.numpy.activations import ACTIVATIONS
from backends.numpy.arrays import xp
from backends.numpy.dropout import Dropping
from backends.numpy.engine import Backward, Key, Program
from backends.numpy.hidden import activated, normalized
from backends.numpy.layers import (
    dense,
    dense_backward,
    dense_backward_params,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    softmax_squared_error,
    softmax_squared_error_backward,
)
from backends.numpy.taps import tap, tap_back
from tasks.task import Array, State, Task, Tree

LOSSES = {
    "cross_entropy": (softmax_cross_entropy, softmax_cross_entropy_backward),
    "squared": (softmax_squared_error, softmax_squared_error_backward),
}


def forward(config: Any, params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Logits (n, 10) from images (n, 784), and the activations of all hidden units (n, units)."""
    activate, _ = ACTIVATIONS[config.activation]
    h, hidden = batch["images"], []
    for layer in config.layers:
        a, _ = dense(h, params[f"{layer}.kernel"], params[f"{layer}.bias"])
        h, _ = activate(a)
        hidden.append(h)
        h = normalized(config, params, buffers, layer, h)
    z, _ = dense(h, params["output.kernel"], params["output.bias"])
    return {"logits": _scaled(config, z), "hidden": xp.concatenate(hidden, axis=1)}


def loss(
    config: Any,
    params: Tree,
    buffers: Tree,
    batch: Tree,
    key: Key | None,
    frozen: Collection[str] = (),
) -> tuple[Array, Tree, Backward]:
    """Mean loss over the batch plus penalties, the new buffers, the way back to the parameters.

    It ends above the hidden layers if their kernels are ``frozen``.
    """
    drop, compare = Dropping(config.dropout, key, batch), LOSSES[config.loss]
    h, ways = batch["images"], []
    renewed: dict[str, Array] = {}
    for number, layer in enumerate(config.layers):
        a, saved = dense(h, params[f"{layer}.kernel"], params[f"{layer}.bias"])
        given = config, params, buffers, layer, a, drop, number, config.activation
        h, new, back = activated(*given)
        renewed |= new
        if f"{layer}.kernel" not in frozen:
            ways.append((layer, saved, back))
    z, saved_output = dense(h, params["output.kernel"], params["output.bias"])
    tap("output", z)
    value, saved_loss = compare[0](_scaled(config, z), batch["labels"])

    def backward(cotangent: float) -> Tree:
        gradients: dict[str, Array] = {}
        dz = tap_back("output", _scaled(config, compare[1](cotangent, saved_loss)))
        if ways:
            dh, *output = dense_backward(dz, saved_output)
        else:
            output = [*dense_backward_params(dz, saved_output)]
        gradients["output.kernel"], gradients["output.bias"] = output
        for layer, saved, back in reversed(ways):
            da = back(dh, gradients)
            if layer != config.layers[0]:
                dh, *own = dense_backward(da, saved)
            else:  # images need no gradient
                own = [*dense_backward_params(da, saved)]
            gradients[f"{layer}.kernel"], gradients[f"{layer}.bias"] = own
        _penalize(config, params, gradients, cotangent)
        return gradients

    return value + _penalty(config, params), renewed, backward


def _scaled(config: Any, z: Array) -> Array:
    """Logits of the softmax, or the way back from them."""
    return z if config.beta == 1 else config.beta * z


def _penalty(config: Any, params: Tree) -> Any:
    """l1 times the sum of |w| plus l2 times that of w^2, over all hidden kernels."""
    if not (config.l1 or config.l2):
        return 0
    kernels = [params[f"{layer}.kernel"] for layer in config.layers]
    absolute, squares = sum(xp.abs(w).sum() for w in kernels), sum(xp.vdot(w, w) for w in kernels)
    return config.l1 * absolute + config.l2 * squares


def _penalize(config: Any, params: Tree, gradients: dict[str, Array], cotangent: float) -> None:
    """Adds the gradients of the penalty; that of |w| is 0 at 0."""
    for name in (f"{layer}.kernel" for layer in config.layers):
        if config.l1:
            gradients[name] += config.l1 * cotangent * xp.sign(params[name])
        if config.l2:
            gradients[name] += 2 * config.l2 * cotangent * params[name]


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    config = task.config
    own = partial(loss, config, frozen=task.frozen)
    return Program(task, state, seed, partial(forward, config), own)
