"""Sums and choices by index, of which NumPy and CuPy need a version each."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from backends.numpy.arrays import ON_GPU, xp
from tasks.task import Array


class _Bags:
    """On a GPU, the matrix that counts words: 1, or the word's own weight, is added at every (row,
    column), in any order."""

    def __init__(
        self, rows: Array, columns: Array, shape: tuple[int, int], values: Array | None = None
    ):
        self._rows, self._columns, self._shape, self._values = rows, columns, shape, values

    @property
    def T(self) -> _Bags:
        return _Bags(self._columns, self._rows, self._shape[::-1], self._values)

    def __matmul__(self, w: Array) -> Array:
        y = xp.zeros((self._shape[0], w.shape[1]), w.dtype)
        chosen = w[self._columns]
        if self._values is not None:
            chosen *= self._values[:, None]
        xp.add.at(y, self._rows, chosen)
        return y


def bags(
    words: Array, offsets: Array, vocabulary: int, dtype: Any, values: Array | None = None
) -> Any:
    """The matrix (n, vocabulary) that counts the words of n bags, as it is multiplied.

    Bag i holds ``words[offsets[i]:offsets[i + 1]]``. Each word counts as much as its entry of
    ``values``, or 1.
    """
    shape = (len(offsets) - 1, vocabulary)
    if ON_GPU:
        rows = xp.searchsorted(offsets, xp.arange(len(words)), side="right") - 1
        return _Bags(rows, words, shape, values)
    counts = np.ones(len(words), dtype) if values is None else values
    return csr_array((counts, words, offsets), shape=shape)


def add_rows(total: Array, ids: Array, rows: Array, factor: float) -> None:
    """``total[ids] += factor rows``, (V, width) and (n, width), where ids (n,) may be repeated.

    On the CPU a product with the sparse matrix that has ``factor`` where column j has the id of its
    row; on a GPU atomic additions.
    """
    if ON_GPU:
        xp.add.at(total, ids, rows * factor)
        return
    order = np.argsort(ids, kind="stable")
    found, starts = np.unique(ids[order], return_index=True)
    factors, ends = np.full(len(ids), factor, rows.dtype), np.append(starts, len(ids))
    total[found] += csr_array((factors, order, ends), shape=(len(found), len(ids))) @ rows


def sum_by_row(values: Array, ids: Array, rows: int) -> Array:
    """(rows, columns): row r is the sum of those ``values`` (n, columns) whose id is r.

    A product with the matrix (rows, n) that has a 1 where column j has the id of its row: a sparse
    one on the CPU; a dense one on a GPU, where additions to one row would wait for each other.
    """
    total: Array
    if ON_GPU:
        total = (xp.arange(rows)[:, None] == ids).astype(values.dtype) @ values
        return total
    order = np.argsort(ids, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(ids, minlength=rows))])
    ones = np.ones(len(ids), values.dtype)
    total = csr_array((ones, order, ends), shape=(rows, len(ids))) @ values
    return total


def last_of(hits: Array, values: Array) -> Array:
    """(n, channels): ``values[j, i]`` at the last j at which ``hits[j, i, c]``; there is one.

    For hits (length, n, channels) and values (length, n). Of assignments to one place the last one
    holds in NumPy, any in CuPy.
    """
    length, n, channels = hits.shape
    if ON_GPU:
        last = length - 1 - hits[::-1].argmax(axis=0)  # (n, channels)
        picked: Array = values[last, xp.arange(n)[:, None]]
        return picked
    places = np.flatnonzero(hits)  # of (length, n, channels), in this order
    found = np.empty(n * channels, np.intp)
    found[places % found.size] = values.reshape(-1)[places // channels]
    return found.reshape(n, channels)
