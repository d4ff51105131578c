"""Ports whose update is another, made of a rule in NumPy: what would be noted of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from suite.causes.evidence import Watched
from suite.causes.rules import Rule, follow
from tasks.optimizers import Optimizer
from tasks.task import State, Tree

SHAPES = {"hidden.kernel": 40, "hidden.bias": 6, "output.kernel": 24, "output.bias": 4}
STEPS = 3


def port(optimizer: Optimizer, rule: Rule, seed: int = 0) -> tuple[Watched, ...]:
    """Three steps by a rule; gradients of all sizes, whose norm is above 1."""
    rng = np.random.default_rng(seed)
    params: Tree = {name: rng.standard_normal(n) for name, n in SHAPES.items()}
    slots = {s: {name: np.zeros(n) for name, n in SHAPES.items()} for s in optimizer.slots}
    state = State(params, slots)
    steps: list[Watched] = []
    for number in range(STEPS):
        gradients = {
            name: rng.standard_normal(n) * 10.0 ** rng.uniform(-8, 0.5, n)
            for name, n in SHAPES.items()
        }
        norms = {name: float(np.linalg.norm(g)) for name, g in gradients.items()}
        step = Watched(number, state, state, gradients, norms)
        after = follow(rule, [*steps, step])
        state = State(
            {name: after[f"{number}/{name}"] for name in SHAPES},
            {s: {name: after[f"{number}/{s}/{name}"] for name in SHAPES} for s in optimizer.slots},
            step=number + 1,
        )
        steps.append(replace(step, after=state))
    return tuple(steps)
