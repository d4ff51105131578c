"""Central differences: the check of the hand-written gradients.

For f from parameters p to outputs, a random direction d and a random cotangent c:
``<c, (f(p + h d) - f(p - h d)) / 2h>`` must equal ``<backward(c), d>``. Both are random because a
cotangent of ones is blind: through softmax or a normalisation its gradient is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from backends.numpy.engine import Loss, Program as NumPyProgram
from backends.program import Program
from tasks.task import Chunk, State, Tree

Differentiable = Callable[[Tree, Tree], tuple[Tree, Callable[[Tree], Tree]]]
"""``f(params, batch) -> outputs, backward``; ``backward(cotangents) -> gradients``"""

STEP = 1e-7
"""h. Truncation is some 1e-14, cancellation some 1e-9 of a value of order one; and it is so small
because a ReLU whose input crosses 0 between p - h d and p + h d would spoil the difference."""
FLOOR = 1e-2
"""Gradients smaller than this, relative to the output, drown in the rounding of the difference."""


def relative_errors(
    forward: Differentiable,
    params: Tree,
    batch: Tree,
    seed: int,
    directions: int = 4,
    frozen: Collection[str] = (),
) -> dict[str, float]:
    """The largest disagreement of each leaf but the ``frozen``, over ``directions`` directions,
    relative.

    ``params`` and ``batch`` in float64, of few samples: with more, one is sooner near a kink. Each
    leaf is moved on its own, so that a large gradient cannot hide a wrong small one.
    """
    rng = np.random.default_rng(seed)
    outputs, backward = forward(params, batch)
    errors: dict[str, list[float]] = {leaf: [] for leaf in params if leaf not in frozen}
    for _ in range(directions):
        cotangent = {name: np.asarray(rng.standard_normal(y.shape)) for name, y in outputs.items()}
        size = sum(float(np.abs(cotangent[name] * y).sum()) for name, y in outputs.items())
        gradients = backward(cotangent)
        for leaf in errors:  # every one: a leaf that backward forgets is a KeyError
            gradient = gradients[leaf]
            direction = rng.standard_normal(gradient.shape)
            ahead = forward({**params, leaf: params[leaf] + STEP * direction}, batch)[0]
            behind = forward({**params, leaf: params[leaf] - STEP * direction}, batch)[0]
            numeric = (_inner(cotangent, ahead) - _inner(cotangent, behind)) / (2 * STEP)
            analytic = float(np.vdot(gradient, direction))
            # <g, d> is of the size of |g|, but may chance to be near 0
            scale = max(abs(numeric), float(np.linalg.norm(gradient)), FLOOR * max(1.0, size))
            errors[leaf].append(abs(numeric - analytic) / scale)
    # unlike max, np.max lets nothing that is not a number pass
    return {leaf: float(np.max(found)) for leaf, found in errors.items()}


def relative_error(
    forward: Differentiable, params: Tree, batch: Tree, seed: int, directions: int = 4
) -> float:
    """The largest of ``relative_errors``."""
    return float(np.max([*relative_errors(forward, params, batch, seed, directions).values()]))


def of_loss(loss: Loss, buffers: Tree) -> Differentiable:
    """A loss in training mode as a function with one output; dropout is by masks alone."""

    def forward(params: Tree, batch: Tree) -> tuple[Tree, Callable[[Tree], Tree]]:
        value, _, backward = loss(params, buffers, batch, None)
        return {"loss": np.asarray(value)}, lambda cotangent: backward(float(cotangent["loss"]))

    return forward


def of_program(program: Program, state: State) -> Differentiable:
    """The loss of a program of any backend, in float64 and by its own gradients, from ``state``.

    NumPy's has the loss without a way back, which takes a third of the time.
    """
    if isinstance(program, NumPyProgram):
        own = of_loss(program.loss, state.buffers)
        return lambda params, batch: own(params, program.place(_chunk(batch))[0])

    def forward(params: Tree, batch: Tree) -> tuple[Tree, Callable[[Tree], Tree]]:
        program.restore(replace(state, params=params))
        placed = program.place(_chunk(batch))
        value, gradients = program.gradients(placed)

        def backward(cotangent: Tree) -> Tree:
            return {name: cotangent["loss"] * gradient for name, gradient in gradients.items()}

        return {"loss": np.asarray(value)}, backward

    return forward


def _chunk(batch: Tree) -> Chunk:
    """A chunk of one step."""
    return {name: array[None] for name, array in batch.items()}


def _inner(a: Tree, b: Tree) -> float:
    return sum(float(np.vdot(a[name], b[name])) for name in a)
