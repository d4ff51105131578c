"""The trace of a program: all that the proof of equivalence compares."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backends.program import Program
from tasks.task import Array, Chunk, Task


def trace(task: Task, program: Program, seed: int, steps: int) -> dict[str, Array]:
    """What is compared, by name: ``gradient/<leaf>``, ``loss`` (steps,), ``state/<leaf>``.

    ``initial loss`` is the loss that came with the gradients.
    """
    found: dict[str, Array] = {}
    losses = []
    for number, chunk in enumerate(_first_steps(task, seed, steps)):
        placed = program.place(chunk)
        if number == 0:
            loss, gradients = program.gradients(placed)
            found["initial loss"] = np.array([loss])
            found |= {f"gradient/{leaf}": g for leaf, g in gradients.items()}
        losses.append(program.train(placed))
    state = program.state()
    found["loss"] = np.concatenate(losses)
    found |= {f"state/{leaf}": p for leaf, p in (*state.params.items(), *state.buffers.items())}
    for slot, tree in state.slots.items():
        found |= {f"state/{slot}/{leaf}": a for leaf, a in tree.items()}
    return found


def _first_steps(task: Task, seed: int, steps: int) -> Iterator[Chunk]:
    for chunk in task.verification_chunks(seed):
        taken = min(steps, len(next(iter(chunk.values()))))
        yield {name: a[:taken] for name, a in chunk.items()}
        steps -= taken
        if not steps:
            return
    raise ValueError(f"an epoch of {task.name} is {steps} steps too short for its envelope")
