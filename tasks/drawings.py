"""Omniglot's drawings as small grey pictures, distorted a little for training.

A picture is made by laying every inked pixel, a unit square, onto the coarse grid: a cell's value
is the share of its area that is covered. Without a distortion that is area averaging, ``R X R^T``
with ``R[i, j] = overlap([3.75 i, 3.75 (i + 1)], [j, j + 1]) / 3.75``; with one, the squares'
centres are moved first, and each counts as much as the map enlarges areas. Whatever processor draws
them, the pictures are the same to the bit: see ``tasks.exact``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import numpy as np

from tasks import exact
from tasks.datasets.omniglot import SIDE, Omniglot
from tasks.task import Array, Tree

SMALL = 28
CELL = SIDE / SMALL
"""Pixels of a drawing along a cell of a picture, 3.75."""
DISTORTIONS = 3
ANGLE, ZOOM, SHEAR, SHIFT = np.deg2rad(10), 0.2, 0.1, 2.0
"""The distortions' ranges: radians, relative size, slope, pixels of a drawing."""
SEED = 0
RECIPE = f"2: {SMALL} {DISTORTIONS} {ANGLE} {ZOOM} {SHEAR} {SHIFT} {SEED}"
"""Names what ``pictures`` makes of the drawings; its version counts changes of the code."""


def shrink(ink: Array, maps: Array | None = None, shifts: Array | None = None) -> Array:
    """Pictures (n, 28, 28) float32 in [0, 1] of drawings (n, 105, 105), distorted about the middle.

    ``maps`` (n, 2, 2) are linear maps of (row, column) offsets, ``shifts`` (n, 2) [pixels].
    """
    n = len(ink)
    picture, row, column = np.nonzero(ink)
    spots = np.stack([row, column], axis=1) + 0.5  # (inked pixels, 2)
    weight = np.ones(len(spots))
    if maps is not None and shifts is not None:
        moved = maps[picture] * (spots - SIDE / 2)[:, None, :]
        spots = moved[..., 0] + moved[..., 1] + (SIDE / 2 + shifts[picture])
        weight = np.abs(maps[:, 0, 0] * maps[:, 1, 1] - maps[:, 0, 1] * maps[:, 1, 0])[picture]
    low, high = (spots - 0.5) / CELL, (spots + 0.5) / CELL
    cell = np.floor(low).astype(np.int64)  # a square lies in this cell and, mostly not, the next
    inner = np.minimum(high, cell + 1) - low
    shares = np.stack([inner, high - low - inner], axis=2)  # (inked pixels, axis, cell)
    pictures = np.zeros(n * SMALL * SMALL)
    for i, j in np.ndindex(2, 2):
        y, x = cell[:, 0] + i, cell[:, 1] + j
        inside = (y >= 0) & (y < SMALL) & (x >= 0) & (x < SMALL)
        share = weight * shares[:, 0, i] * shares[:, 1, j] * inside
        where = np.where(inside, (picture * SMALL + y) * SMALL + x, 0)
        pictures += np.bincount(where, share, n * SMALL * SMALL)
    # where the squares lie closer than before, they overlap
    return np.minimum(pictures, 1).astype(np.float32).reshape(n, SMALL, SMALL)


def random_maps(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Linear maps (n, 2, 2) and shifts (n, 2) of small distortions.

    Turn, shear, two sizes and shift, as in Koch, Zemel & Salakhutdinov, "Siamese neural networks
    for one-shot image recognition", 2015, section 3.3, each uniform in its range.
    """
    sine, cosine = exact.sine_and_cosine(exact.uniform(rng, -ANGLE, ANGLE, (n,)))
    sizes = exact.uniform(rng, 1 - ZOOM, 1 + ZOOM, (n, 2))
    down, right = exact.uniform(rng, -SHEAR, SHEAR, (n, 2)).T
    # [[cosine, -sine], [sine, cosine]] [[1, down], [right, 1]]
    slanted = [cosine - sine * right, cosine * down - sine, sine + cosine * right]
    turned = np.stack([*slanted, sine * down + cosine], axis=1)
    maps = turned.reshape(n, 2, 2) * sizes[:, None, :]
    return maps, exact.uniform(rng, -SHIFT, SHIFT, (n, 2))


def pictures(data: Omniglot, held_out: Collection[str]) -> dict[str, Array]:
    """Arrays that the task learns from and is judged by; all pictures are 28 x 28.

    ``train`` (characters, drawings, 1 + distortions): every drawing of the other alphabets, as it
    is and distorted; ``alphabet`` (characters,): the number of the one that each belongs to;
    ``new`` (characters, drawings): those held out; ``shown`` and ``asked`` (runs, characters),
    with ``answers``, of the official runs.
    """
    rng = np.random.default_rng(SEED)
    known = [ink for name, ink in data.alphabets.items() if name not in held_out]
    new = [_each(ink) for name, ink in data.alphabets.items() if name in held_out]
    return {
        "train": np.concatenate([_variants(rng, ink) for ink in known]),
        "alphabet": np.repeat(np.arange(len(known)), [len(ink) for ink in known]),
        "new": np.concatenate(new),
        "shown": _each(data.shown),
        "asked": _each(data.asked),
        "answers": data.answers,
    }


def _variants(rng: np.random.Generator, ink: Array) -> Array:
    """(characters, drawings, 1 + distortions, 28, 28) of (characters, drawings, 105, 105)."""
    flat = ink.reshape(-1, SIDE, SIDE)
    found = [shrink(flat)]
    for _ in range(DISTORTIONS):
        found.append(shrink(flat, *random_maps(rng, len(flat))))
    return np.stack(found, axis=1).reshape(*ink.shape[:2], 1 + DISTORTIONS, SMALL, SMALL)


def _each(ink: Array) -> Array:
    return shrink(ink.reshape(-1, SIDE, SIDE)).reshape(*ink.shape[:2], SMALL, SMALL)


def digest(pictures: Tree) -> str:
    """SHA-256 over all arrays."""
    total = hashlib.sha256()
    for name in sorted(pictures):
        total.update(pictures[name].tobytes())
    return total.hexdigest()
