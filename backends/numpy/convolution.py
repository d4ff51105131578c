"""Convolutions 3 x 3 with stride 2 and padding 1, as one matrix product each (im2col).

Notation as in ``layers``: n pictures, c channels in, o channels out, m = ceil(side / 2). Pictures
are kept padded, (n, 2 m + 1, 2 m + 1, c), so that nothing is copied only to add the border:
``framed`` makes room for it and ``inside`` is where the layer before writes.

Three quarters of a siamese step are the products, at half to three quarters of the rate of large
ones (their inner or outer size is 9 to 64), the rest is copies into columns and back. PyTorch and
XLA have kernels without the copies: hence NumPy's 0.7 to 0.8 of their speed.
"""

from __future__ import annotations

import numpy as np

from backends.numpy.arrays import xp
from backends.numpy.layers import Saved
from tasks.task import Array

SIZE = 3
as_strided = xp.lib.stride_tricks.as_strided


def framed(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """Zeros for pictures of ``shape`` (n, side, side, c) and their border.

    After an even number of pixels the last window ends with the picture: no border there.
    """
    n, side, _, c = shape
    padded = 2 * -(-side // 2) + 1
    return xp.zeros((n, padded, padded, c), dtype)


def inside(framed: Array, side: int) -> Array:
    """The pictures themselves, a view (n, side, side, c)."""
    return framed[:, 1 : side + 1, 1 : side + 1]


def convolution(x: Array, w: Array, b: Array) -> tuple[Array, Saved]:
    """y[:, i, j] = b + sum over r, s of x[:, 2 i + r, 2 j + s] w[r, s], which is (n, m, m, o).

    x (n, 2 m + 1, 2 m + 1, c) with its border, w (3, 3, c, o), b (o,).
    """
    n, padded, _, c = x.shape
    m = padded // 2
    down, right = x.strides[1:3]
    # a window's rows are runs of 3 c numbers in memory
    windows = as_strided(
        x, (n, m, m, SIZE, SIZE * c), (x.strides[0], 2 * down, 2 * right, down, x.itemsize)
    )
    columns = windows.reshape(n * m * m, SIZE * SIZE * c)  # copies
    y: Array = columns @ w.reshape(-1, w.shape[-1])
    y += b
    return y.reshape(n, m, m, -1), (x.shape, columns, w)


def convolution_backward(dy: Array, saved: Saved) -> tuple[Array, Array, Array]:
    """dx with its border, dw and db, from dy (n, m, m, o): the windows' gradients, added up."""
    (n, padded, _, c), _, w = saved
    m, o = padded // 2, w.shape[-1]
    windows = (dy.reshape(-1, o) @ w.reshape(-1, o).T).reshape(n, m, m, SIZE, SIZE, c)
    dx = xp.empty((n, padded, padded, c), dy.dtype)
    dx[:, -1] = dx[:, :, -1] = 0
    for r, s in np.ndindex(2, 2):  # these touch every other pixel once
        dx[:, r : 2 * m : 2, s : 2 * m : 2] = windows[:, :, :, r, s]
    for r, s in ((0, 2), (1, 2), (2, 0), (2, 1), (2, 2)):
        dx[:, r : r + 2 * m : 2, s : s + 2 * m : 2] += windows[:, :, :, r, s]
    return dx, *convolution_backward_params(dy, saved)


def convolution_backward_params(dy: Array, saved: Saved) -> tuple[Array, Array]:
    """dw (3, 3, c, o) and db (o,) alone, for a first layer."""
    _, columns, w = saved
    dy = dy.reshape(-1, w.shape[-1])
    return (columns.T @ dy).reshape(w.shape), dy.sum(axis=0)
