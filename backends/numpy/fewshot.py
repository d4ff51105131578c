"""Siamese and triplet networks for one-shot recognition in NumPy, with the way back by hand; and
the fine-tuning of a softmax for every episode above such a network."""

from __future__ import annotations

from functools import partial
from typing import Any

from backends.numpy.arrays import xp
from backends.numpy.contrastive import (
    distances,
    distances_backward,
    pair_cross_entropy,
    pair_cross_entropy_backward,
    triplet_loss,
    triplet_loss_backward,
)
from backends.numpy.convolution import (
    convolution,
    convolution_backward,
    convolution_backward_params,
    framed,
    inside,
)
from backends.numpy.engine import Backward, Key, Program
from backends.numpy.layers import (
    dense,
    dense_backward,
    l2_normalize,
    l2_normalize_backward,
    relu,
    relu_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    softmax_entropy,
    softmax_entropy_backward,
)
from backends.numpy.taps import tap, tap_back
from tasks.task import Array, State, Task, Tree

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4")


def forward(params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Embeddings (n, embedding) of images (n, side, side), and the head's kernel for each, or their
    logits (n, episodes, ways) in all episodes."""
    embeddings, _ = _embed(params, batch["images"])
    outputs = {"embeddings": embeddings}
    if "head.kernels" in params:
        kernels, biases = params["head.kernels"], params["head.biases"]
        every = kernels.transpose(1, 0, 2).reshape(embeddings.shape[1], -1)
        outputs["logits"] = (embeddings @ every).reshape(-1, *biases.shape) + biases
    if "similarity.kernel" in params:
        outputs["kernel"] = xp.broadcast_to(params["similarity.kernel"].T, embeddings.shape)
    return outputs


def loss(
    config: Any, params: Tree, buffers: Tree, batch: Tree, key: Key | None
) -> tuple[Array, Tree, Backward]:
    """Cross-entropy of the batch's ``pairs``, each group half; of its ``places``, see the function
    for that; without, the loss of triplets."""
    if "places" in batch:
        value, finetune_backward = _finetune(config, params, batch)
        return value, buffers, finetune_backward
    embeddings, saved = _embed(params, batch["images"])
    if "pairs" in batch:
        same = len(embeddings) * (config.per_class - 1) // 2
        value, compare_backward = _compare(params, embeddings, batch["pairs"], same)
    else:
        value, saved_triplets = triplet_loss(embeddings, config.per_class, config.margin)

        def compare_backward(cotangent: float) -> tuple[Array, Tree]:
            return triplet_loss_backward(cotangent, saved_triplets), {}

    def backward(cotangent: float) -> Tree:
        dembeddings, gradients = compare_backward(cotangent)
        return {**gradients, **_embed_backward(dembeddings, saved)}

    return value, buffers, backward


def _embed(params: Tree, images: Array) -> tuple[Array, Any]:
    x = framed((*images.shape, 1), images.dtype)
    inside(x, images.shape[1])[..., 0] = images
    saved: dict[str, Any] = {}
    for name in CONVOLUTIONS:
        y, saved[name] = convolution(x, params[f"{name}.kernel"], params[f"{name}.bias"])
        tap(name, y)
        x = framed(y.shape, y.dtype)
        h, saved[f"{name}.relu"] = relu(y, out=inside(x, y.shape[1]))
        tap(f"{name}_activation", h)
    flat = h.reshape(len(h), -1)  # (n, 256): rows, columns, channels
    z, saved["dense"] = dense(flat, params["dense.kernel"], params["dense.bias"])
    tap("dense", z)
    embeddings, saved["normalize"] = l2_normalize(z)
    return tap("embeddings", embeddings), saved


def _embed_backward(dembeddings: Array, saved: Any) -> Tree:
    gradients: dict[str, Array] = {}
    dz = l2_normalize_backward(tap_back("embeddings", dembeddings), saved["normalize"])
    tap_back("dense", dz)
    dx, gradients["dense.kernel"], gradients["dense.bias"] = dense_backward(dz, saved["dense"])
    for name in reversed(CONVOLUTIONS):
        (h,) = saved[f"{name}.relu"]
        dh = dx.reshape(h.shape) if dx.ndim == 2 else inside(dx, h.shape[1])
        dy = relu_backward(tap_back(f"{name}_activation", dh), saved[f"{name}.relu"])
        tap_back(name, dy)
        if name == CONVOLUTIONS[0]:
            dw, db = convolution_backward_params(dy, saved[name])
        else:
            dx, dw, db = convolution_backward(dy, saved[name])
        gradients[f"{name}.kernel"], gradients[f"{name}.bias"] = dw, db
    return gradients


def _compare(params: Tree, embeddings: Array, pairs: Array, same: int) -> tuple[Array, Any]:
    """The siamese loss and its way back: the embeddings' gradient, and those of the head."""
    difference, saved_difference = distances(embeddings, pairs)
    tap("difference", difference)
    logits, saved_head = dense(difference, params["similarity.kernel"], params["similarity.bias"])
    tap("similarity", logits)
    value, saved_loss = pair_cross_entropy(logits[:, 0], same)

    def backward(cotangent: float) -> tuple[Array, Tree]:
        dlogits = pair_cross_entropy_backward(cotangent, saved_loss)[:, None]
        ddifference, dw, db = dense_backward(tap_back("similarity", dlogits), saved_head)
        tap_back("difference", ddifference)
        head = {"similarity.kernel": dw, "similarity.bias": db}
        return distances_backward(ddifference, saved_difference), head

    return value, backward


def _finetune(config: Any, params: Tree, batch: Tree) -> tuple[Array, Backward]:
    """Cross-entropy of the known pictures plus ``config.entropy`` times the entropy of the others,
    means over all episodes, and the way back to the heads."""
    kernels, biases = params["head.kernels"], params["head.biases"]
    episodes, _, ways = kernels.shape
    x = batch["embeddings"].take(batch["places"], axis=0)  # (episodes, pictures, embedding)
    z = tap("head", x @ kernels + biases[:, None])  # (episodes, pictures, ways)
    known = ways * config.shots
    # each way of all pictures side by side: sums over a few ways then run over whole columns
    shown = xp.asfortranarray(z[:, :known].reshape(-1, ways))
    asked = xp.asfortranarray(z[:, known:].reshape(-1, ways))
    labels = xp.tile(xp.repeat(xp.arange(ways), config.shots), episodes)
    value, saved = softmax_cross_entropy(shown, labels)
    entropy, saved_entropy = softmax_entropy(asked)

    def backward(cotangent: float) -> Tree:
        dz = xp.empty_like(z)
        dshown = softmax_cross_entropy_backward(cotangent, saved)
        dasked = softmax_entropy_backward(cotangent * config.entropy, saved_entropy)
        dz[:, :known] = dshown.reshape(episodes, -1, ways)
        dz[:, known:] = dasked.reshape(episodes, -1, ways)
        tap_back("head", dz)
        return {"head.kernels": x.transpose(0, 2, 1) @ dz, "head.biases": dz.sum(axis=1)}

    return value + config.entropy * entropy, backward


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, partial(loss, task.config))
