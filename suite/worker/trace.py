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
    for number, chunk in enumerate(first_steps(task, seed, steps)):
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


def first_steps(task: Task, seed: int, steps: int, masks: bool = True) -> Iterator[Chunk]:
    """Chunks of the first ``steps`` that backends are compared on, with ``masks`` of dropout."""
    made = 0
    for chunk in task.verification_chunks(seed):
        taken = {name: a[: steps - made] for name, a in chunk.items()}
        yield {**taken, **(task.dropout_masks(taken, seed, made) if masks else {})}
        made += len(next(iter(taken.values())))
        if made == steps:
            return
    raise ValueError(f"an epoch of {task.name} is {steps - made} steps too short for its envelope")
