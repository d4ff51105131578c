"""Losses that compare embeddings with each other, in pairs of functions as in ``layers``.

Notation: e embeddings (n, channels), class by class with k of each class.
"""

from __future__ import annotations

from backends.numpy.arrays import xp
from backends.numpy.layers import Saved
from tasks.task import Array


def distances(e: Array, pairs: Array) -> tuple[Array, Saved]:
    """y = |e_i - e_j| (pairs, channels), entry by entry, for pairs (pairs, 2) of (i, j).

    By a matrix that holds 1 at i and -1 at j: its transpose adds up the gradients, which fancy
    indexing would do one by one.
    """
    rows = xp.arange(len(pairs))
    incidence = xp.zeros((len(pairs), len(e)), e.dtype)
    incidence[rows, pairs[:, 0]] = 1
    incidence[rows, pairs[:, 1]] -= 1
    difference = incidence @ e
    return xp.abs(difference), (incidence, difference)


def distances_backward(dy: Array, saved: Saved) -> Array:
    """de (n, channels); 0 where a difference is 0."""
    incidence, difference = saved
    de: Array = incidence.T @ (dy * xp.sign(difference))
    return de


def pair_cross_entropy(z: Array, same: int) -> tuple[Array, Saved]:
    """Half the mean of -log sigmoid(z) over the first ``same`` logits, and of -log sigmoid(-z)
    half the mean over the others; z (pairs,), the loss a scalar."""
    loss = (xp.logaddexp(0, -z[:same]).mean() + xp.logaddexp(0, z[same:]).mean()) / 2
    return loss, (z, same)


def pair_cross_entropy_backward(dloss: float, saved: Saved) -> Array:
    """dz (pairs,): sigmoid(z) - 1 or sigmoid(z), over twice the number of the group."""
    z, same = saved
    dz: Array = xp.empty_like(z)
    # sigmoid by tanh, which never overflows
    dz[:same] = (xp.tanh(z[:same] / 2) - 1) * (dloss / (4 * same))
    dz[same:] = (xp.tanh(z[same:] / 2) + 1) * (dloss / (4 * (len(z) - same)))
    return dz


def triplet_loss(e: Array, k: int, margin: float) -> tuple[Array, Saved]:
    """The mean over those triplets (a, p, n) that are not 0 of
    ``max(0, |e_a - e_p|^2 - |e_a - e_n|^2 + margin)``; 0 if all are.

    a and p are two of one class, n is of another. For e of length 1: ``|a - b|^2 = 2 - 2 <a, b>``.
    """
    n = len(e)
    classes = xp.arange(n // k)
    squares = 2 - 2 * (e @ e.T)  # (n, n)
    near = squares.reshape(n // k, k, n // k, k)[classes, :, classes]  # (classes, a, p)
    near += margin
    near[:, xp.arange(k), xp.arange(k)] = -xp.inf  # a is no p of its own
    far = squares.reshape(n // k, k, n // k, k).copy()
    far[classes, :, classes] = xp.inf
    hinge = near[:, :, :, None] - far.reshape(n // k, k, 1, n)  # (classes, a, p, n)
    xp.maximum(hinge, 0, out=hinge)
    active = hinge > 0
    count = max(int(xp.count_nonzero(active)), 1)
    return hinge.sum() / count, (e, active, count)


def triplet_loss_backward(dloss: float, saved: Saved) -> Array:
    """de (n, channels); which triplets are active is taken as constant."""
    e, active, count = saved
    classes, k, _, n = active.shape
    squares = xp.multiply(active.sum(axis=2), -dloss / count, dtype=e.dtype).reshape(n, n)
    own = xp.arange(classes)
    squares.reshape(classes, k, classes, k)[own, :, own] += xp.multiply(
        active.sum(axis=3), dloss / count, dtype=e.dtype
    )
    de: Array = -2 * ((squares + squares.T) @ e)
    return de
