"""The layers behind a dense one: activation, then batch normalisation and dropout, where asked for.

``config`` is of a task that has them: ``batch_norm``, its ``momentum`` and ``epsilon``. ``stack``
is a whole network without these two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.numpy.activations import ACTIVATIONS
from backends.numpy.arrays import xp
from backends.numpy.dropout import Dropping, dropout, dropout_backward
from backends.numpy.layers import batch_norm, batch_norm_backward, dense, dense_backward
from backends.numpy.taps import tap, tap_back
from tasks.task import Array, Tree

Back = Callable[[Array, dict[str, Array]], Array]
"""``back(dh, gradients) -> da``, which puts those of the normalisation into ``gradients``."""


def activated(
    config: Any,
    params: Tree,
    buffers: Tree,
    layer: str,
    a: Array,
    drop: Dropping,
    number: int,
    activation: str = "relu",
) -> tuple[Array, Tree, Back]:
    """The output, in training, of the ``layer`` of that ``number`` for ``a`` (n, channels).

    Returns it with the layer's new buffers and the way back. ``a`` may be overwritten.
    """
    activate, activate_backward = ACTIVATIONS[activation]
    tap(layer, a)
    h, saved_activation = activate(a)
    tap(f"{layer}_activation", h)
    norm, renewed = f"{layer}_norm", {}
    if config.batch_norm:
        scale, offset = params[f"{norm}.scale"], params[f"{norm}.offset"]
        h, saved_norm, (mean, variance) = batch_norm(h, scale, offset, config.epsilon)
        tap(norm, h)
        for name, new in ((f"{norm}.mean", mean), (f"{norm}.variance", variance)):
            old = buffers[name]
            renewed[name] = old + (new - old) * (1 - config.momentum)
    h, saved_dropout = dropout(h, drop.mask(layer, number, h.shape, h.dtype))
    if config.dropout:
        tap(f"{layer}_dropout", h)

    def back(dh: Array, gradients: dict[str, Array]) -> Array:
        dh = dropout_backward(tap_back(f"{layer}_dropout", dh), saved_dropout)
        if config.batch_norm:
            tap_back(norm, dh)
            dh, *rest = batch_norm_backward(dh, saved_norm)
            gradients[f"{norm}.scale"], gradients[f"{norm}.offset"] = rest
        tap_back(f"{layer}_activation", dh)
        return tap_back(layer, activate_backward(dh, saved_activation))

    return h, renewed, back


def normalized(config: Any, params: Tree, buffers: Tree, layer: str, h: Array) -> Array:
    """Activations ``h`` (n, channels) in evaluation: by the running statistics, if at all."""
    if not config.batch_norm:
        return h
    mean, variance = buffers[f"{layer}_norm.mean"], buffers[f"{layer}_norm.variance"]
    factor = params[f"{layer}_norm.scale"] / xp.sqrt(variance + config.epsilon)
    y: Array = (h - mean) * factor + params[f"{layer}_norm.offset"]
    return y


def stack(config: Any, params: Tree, x: Array) -> tuple[Array, Callable[[Array], Tree]]:
    """The one output (n,) of dense layers with ``config.activation`` between them, for x (n, in).

    Second comes the way back from its gradient (n,) to those of the parameters.
    """
    activate, activate_backward = ACTIVATIONS[config.activation]
    ways = []
    for layer in config.layers:
        a, saved = dense(x, params[f"{layer}.kernel"], params[f"{layer}.bias"])
        tap(layer, a)
        x, saved_activation = activate(a)
        tap(f"{layer}_activation", x)
        ways.append((layer, saved, saved_activation))
    y, saved_output = dense(x, params["output.kernel"], params["output.bias"])
    tap("output", y)

    def backward(dy: Array) -> Tree:
        gradients: dict[str, Array] = {}
        dx, *own = dense_backward(tap_back("output", dy[:, None]), saved_output)
        gradients["output.kernel"], gradients["output.bias"] = own
        for layer, saved, saved_activation in reversed(ways):
            tap_back(f"{layer}_activation", dx)
            da = tap_back(layer, activate_backward(dx, saved_activation))
            dx, *own = dense_backward(da, saved)
            gradients[f"{layer}.kernel"], gradients[f"{layer}.bias"] = own
        return gradients

    return y[:, 0], backward
