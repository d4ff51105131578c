"""Sentences of words by number, in padded batches of similar length.

A sentence is a row of numbers with PAD behind; a bucket is a length that batches are padded to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tasks.datasets.multi30k import BOS, EOS, PAD
from tasks.task import Array


def words(numbers: Array) -> Array:
    """A sentence (n,) without its padding."""
    found: Array = numbers[numbers != PAD]
    return found


def lengths(*languages: Array) -> Array:
    """The longest of every row's sentences, end mark included, (n,), in languages (n, any)."""
    return np.asarray(np.max([(a != PAD).sum(axis=1) for a in languages], axis=0) + 1)


def bucket_of(length: int, buckets: Sequence[int]) -> int:
    """The smallest bucket that holds ``length``, or the largest there is."""
    return next((bucket for bucket in buckets if bucket >= length), buckets[-1])


def ended(sentences: Array, length: int) -> Array:
    """Sentences (n, any) with the end mark behind their last word, cut and padded to ``length``."""
    found = np.full((len(sentences), length), PAD, np.int32)
    shared = min(length - 1, sentences.shape[1])
    found[:, :shared] = sentences[:, :shared]
    found[np.arange(len(found)), (found != PAD).sum(axis=1)] = EOS
    return found


def pairs(german: Array, english: Array, length: int) -> dict[str, Array]:
    """``source``, ``inputs`` and ``targets`` (n, length) of sentences (n, any) in two languages."""
    targets = ended(english, length)
    inputs = np.full_like(targets, BOS)
    inputs[:, 1:] = np.where(targets[:, :-1] == EOS, PAD, targets[:, :-1])
    return {"source": ended(german, length), "inputs": inputs, "targets": targets}


def filled(rows: Array, batch: int, marked: bool) -> Array:
    """A step (1, batch, length) whose first rows are ``rows``.

    Further ones are empty, or have the end mark alone if ``marked``, so that attention has
    something to attend to.
    """
    found = np.full((1, batch, rows.shape[1]), PAD, np.int32)
    found[0, len(rows) :, 0] = EOS if marked else PAD
    found[0, : len(rows)] = rows
    return found


def from_short_to_long(
    lengths: Array, batch: int, buckets: Sequence[int]
) -> Iterator[tuple[Array, int]]:
    """Rows sorted by ``lengths`` (n,), ``batch`` at a time, each time with their bucket."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        yield rows, bucket_of(lengths[rows[-1]], buckets)


def permuted(
    rng: np.random.Generator, lengths: Array, size: int, buckets: Sequence[int]
) -> Iterator[tuple[Array, int]]:
    """Rows in random order, ``size`` at a time of one bucket, with that bucket.

    Those that do not fill ``size`` go into the next larger bucket; ``lengths`` (n,), n a multiple.
    """
    order = rng.permutation(len(lengths))
    own = np.array([bucket_of(length, buckets) for length in lengths])[order]
    found: list[tuple[Array, int]] = []
    waiting = order[:0]
    for bucket in buckets:
        waiting = rng.permutation(np.concatenate([waiting, order[own == bucket]]))
        full = len(waiting) // size * size
        found += [(rows, bucket) for rows in waiting[:full].reshape(-1, size)]
        waiting = waiting[full:]
    for place in rng.permutation(len(found)):
        yield found[place]
