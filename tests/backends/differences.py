"""Shared code of the tests of NumPy's layers against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from backends.numpy.central_differences import Differentiable
from tasks.task import Tree

sizes = st.integers(1, 7)
seeds = st.integers(0, 2**32 - 1)
TOLERANCE = 1e-6


def layer(forward: Callable[..., Any], backward: Callable[..., Any], *names: str) -> Differentiable:
    """A layer as a function of named parameters, for the check."""

    def run(params: Tree, batch: Tree) -> tuple[Tree, Callable[[Tree], Tree]]:
        y, saved = forward(*(params[name] for name in names), *batch.values())

        def back(cotangent: Tree) -> Tree:
            found = backward(cotangent["y"], saved)
            found = found if isinstance(found, tuple) else (found,)
            return dict(zip(names, found, strict=True))

        return {"y": np.asarray(y)}, back

    return run
