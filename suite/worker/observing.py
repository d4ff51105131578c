"""Observations of a program's single steps: what it computes on its way, gradients and states."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from backends.program import Program, Tapping
from suite.records.taps import Observation, Tap, leaves
from suite.worker.trace import steps_between
from tasks.task import Task


def observed(
    task: Task, program: Program, seed: int, steps: Collection[int]
) -> Iterator[Observation]:
    """The observations of these steps, numbers from 1, of the training that the proof compares.

    Each step is trained as a chunk of its own. A program that taps nothing has its loss alone.
    """
    for step in range(1, max(steps) + 1):
        (chunk,) = steps_between(task, seed, step - 1, step)
        placed = program.place(chunk)
        if step not in steps:
            program.train(placed)
            continue
        before = leaves(program.state())
        loss, gradients = program.gradients(placed)
        taps: dict[str, Tap] = {"loss": (np.array(loss), np.ones(()))}
        if isinstance(program, Tapping):
            taps = dict(program.taps(placed))
        program.train(placed)
        yield Observation(step, taps, gradients, before, leaves(program.state()))
