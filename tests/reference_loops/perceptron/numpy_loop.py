"""NumPy by hand: the perceptron learning rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.task import Array, Tree


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    kernel, bias = (np.array(a) for a in params.values())
    w, b = kernel[:, 0], bias
    points, signs = chunk["inputs"][:, 0], 2 * chunk["labels"][:, 0] - 1

    def step(x: Array, sign: Array) -> float:
        agreement = float(sign * (x @ w + b[0]))
        if agreement > 0:
            return 0.0
        w[:] += sign * x
        b[0] += sign
        return -agreement

    return lambda: [step(x, sign) for x, sign in zip(points, signs, strict=True)]
