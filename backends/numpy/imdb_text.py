"""The models of film reviews in NumPy, with their backward passes by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

from backends.numpy import skipgram
from backends.numpy.arrays import xp
from backends.numpy.dropout import Dropping, dropout, dropout_backward
from backends.numpy.engine import Backward, Key, Program
from backends.numpy.hidden import activated, normalized
from backends.numpy.layers import (
    dense,
    dense_backward,
    relu,
    relu_backward,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_backward,
)
from backends.numpy.taps import tap, tap_back
from backends.numpy.text import bag_dense, bag_dense_backward, embedding_max, embedding_max_backward
from tasks.task import Array, State, Task, Tree

PENALISED = ("bag.kernel", "hidden.kernel")


def forward(config: Any, params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Logits (n,) from bags of words, or from words (n, length) for ``embedding``."""
    if "embedding.kernel" in params:
        h, _ = embedding_max(batch["words"], params["embedding.kernel"])
        h, _ = dense(h, params["hidden.kernel"], params["hidden.bias"])
        relu(h, out=h)
    else:
        kernel, bias = params["bag.kernel"], params["bag.bias"]
        h, _ = bag_dense(batch["words"], batch["offsets"], kernel, bias, batch.get("values"))
        relu(h, out=h)
        h = normalized(config, params, buffers, "bag", h)
        h, _ = dense(h, params["hidden.kernel"], params["hidden.bias"])
        relu(h, out=h)
        h = normalized(config, params, buffers, "hidden", h)
    logits, _ = dense(h, params["output.kernel"], params["output.bias"])
    return {"logits": logits[:, 0]}


def loss(
    config: Any, params: Tree, buffers: Tree, batch: Tree, key: Key | None
) -> tuple[Array, Tree, Backward]:
    """Mean cross-entropy plus the penalty, the new buffers, the way back to the parameters."""
    model = _embedding_loss if "embedding.kernel" in params else _bag_loss
    return model(config, params, buffers, batch, key)


def _bag_loss(
    config: Any, params: Tree, buffers: Tree, batch: Tree, key: Key | None
) -> tuple[Array, Tree, Backward]:
    kernel, bias = params["bag.kernel"], params["bag.bias"]
    drop = Dropping(config.dropout, key, batch)
    weights = batch.get("values")
    a, saved_bag = bag_dense(batch["words"], batch["offsets"], kernel, bias, weights)
    h, buffers_bag, back_bag = activated(config, params, buffers, "bag", a, drop, 0)
    a, saved_hidden = dense(h, params["hidden.kernel"], params["hidden.bias"])
    h, buffers_hidden, back_hidden = activated(config, params, buffers, "hidden", a, drop, 1)
    logits, saved_output = dense(h, params["output.kernel"], params["output.bias"])
    tap("output", logits)
    value, saved_loss = sigmoid_cross_entropy(logits[:, 0], batch["labels"])
    if config.l1:
        value = value + config.l1 * sum(xp.abs(params[k]).sum() for k in PENALISED)
    if config.l2:
        value = value + config.l2 * sum(xp.vdot(params[k], params[k]) for k in PENALISED)

    def backward(cotangent: float) -> Tree:
        gradients: dict[str, Array] = {}
        dlogits = sigmoid_cross_entropy_backward(cotangent, saved_loss)[:, None]
        dh, *output = dense_backward(tap_back("output", dlogits), saved_output)
        gradients["output.kernel"], gradients["output.bias"] = output
        dh, *hidden = dense_backward(back_hidden(dh, gradients), saved_hidden)
        gradients["hidden.kernel"], gradients["hidden.bias"] = hidden
        bag = bag_dense_backward(back_bag(dh, gradients), saved_bag)
        gradients["bag.kernel"], gradients["bag.bias"] = bag
        if config.l1:
            for name in PENALISED:
                gradients[name] += (config.l1 * cotangent) * xp.sign(params[name])
        if config.l2:
            for name in PENALISED:
                gradients[name] += (2 * config.l2 * cotangent) * params[name]
        return gradients

    return value, {**buffers_bag, **buffers_hidden}, backward


def _embedding_loss(
    config: Any, params: Tree, buffers: Tree, batch: Tree, key: Key | None
) -> tuple[Array, Tree, Backward]:
    pooled, saved_embedding = embedding_max(batch["words"], params["embedding.kernel"])
    tap("embedding", pooled)
    # dropping a channel of all words and taking the maximum is the same in either order
    drop = Dropping(config.dropout, key, batch)
    mask = drop.mask("embedding", 0, pooled.shape, pooled.dtype)
    h, saved_dropout = dropout(pooled, mask)
    tap("embedding_dropout", h)
    a, saved_hidden = dense(h, params["hidden.kernel"], params["hidden.bias"])
    tap("hidden", a)
    h, saved_relu = relu(a, out=a)
    tap("hidden_activation", h)
    logits, saved_output = dense(h, params["output.kernel"], params["output.bias"])
    tap("output", logits)
    value, saved_loss = sigmoid_cross_entropy(logits[:, 0], batch["labels"])

    def backward(cotangent: float) -> Tree:
        dlogits = sigmoid_cross_entropy_backward(cotangent, saved_loss)[:, None]
        dh, dw_output, db_output = dense_backward(tap_back("output", dlogits), saved_output)
        da = relu_backward(tap_back("hidden_activation", dh), saved_relu, out=dh)
        dh, dw_hidden, db_hidden = dense_backward(tap_back("hidden", da), saved_hidden)
        dpooled = dropout_backward(tap_back("embedding_dropout", dh), saved_dropout)
        tap_back("embedding", dpooled)
        return {
            "embedding.kernel": embedding_max_backward(dpooled, saved_embedding),
            "hidden.kernel": dw_hidden,
            "hidden.bias": db_hidden,
            "output.kernel": dw_output,
            "output.bias": db_output,
        }

    return value, buffers, backward


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    if "context.table" in state.params:
        of_pairs = partial(skipgram.forward, task.config), partial(skipgram.loss, task.config)
        return Program(task, state, seed, *of_pairs)
    return Program(task, state, seed, partial(forward, task.config), partial(loss, task.config))
