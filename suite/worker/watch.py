"""Watching a program: what causes are looked for in, once it has failed the proof."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backends.program import Program
from suite.causes.evidence import (
    COLD,
    FIRST,
    MOVED,
    Window,
    note_state,
    read_state,
    thinned,
)
from suite.worker.trace import steps_between
from tasks.task import Array, State, Task, Tree


def watch(
    task: Task,
    program: Program,
    initial: State,
    seed: int,
    windows: Sequence[Window],
    moved: Tree | None,
) -> dict[str, Array]:
    """Watches the steps of ``windows``, which rise and begin with ``FIRST``; notes, by name:

    - ``<step>/before|after/...`` the state, ``<step>/gradient/<leaf>`` and ``<step>/norm/<leaf>``
      of every watched step, see ``suite.causes.evidence``;
    - ``cold/loss`` and ``cold/gradient/<leaf>``, whole, at the initial state;
    - the same as ``moved/...`` at another state: that of the note ``moved``, or, where there is
      none, the program's own after ``FIRST``, which is then noted itself, whole;
    - ``met/buffers/<buffer>`` there, and ``renewed/buffers/<buffer>`` after a step;
    - ``restored/...``, the initial state once it was restored, and ``together/...``, that after
      the steps of ``FIRST`` as one chunk from there.
    """
    noted: dict[str, Array] = {}
    done = 0
    for first, last in windows:
        for chunk in steps_between(task, seed, done, first):
            program.train(program.place(chunk))
        for step in range(first, last):
            noted |= _step(task, program, seed, step)
        if (first, last) == FIRST:
            own = program.state()
        done = last
    if moved is None:
        noted |= note_state(own, MOVED, whole=True)
    program.restore(initial)
    noted |= note_state(program.state(), "restored")
    noted |= _point(task, program, seed, COLD, 0)
    for chunk in steps_between(task, seed, *FIRST):
        program.train(program.place(chunk))
    noted |= note_state(program.state(), "together")
    program.restore(own if moved is None else read_state(moved, MOVED))
    noted |= _point(task, program, seed, MOVED, FIRST[1] - 1)
    return noted


def _step(task: Task, program: Program, seed: int, step: int) -> dict[str, Array]:
    (chunk,) = steps_between(task, seed, step, step + 1)
    placed = program.place(chunk)
    noted = note_state(program.state(), f"{step}/before")
    _, gradients = program.gradients(placed)
    for leaf, g in gradients.items():
        noted[f"{step}/gradient/{leaf}"] = thinned(leaf, g)
        noted[f"{step}/norm/{leaf}"] = np.array(np.linalg.norm(np.asarray(g, np.float64)))
    program.train(placed)
    return noted | note_state(program.state(), f"{step}/after")


def _point(task: Task, program: Program, seed: int, name: str, step: int) -> dict[str, Array]:
    (chunk,) = steps_between(task, seed, step, step + 1)
    placed = program.place(chunk)
    loss, gradients = program.gradients(placed)
    noted = {f"{name}/gradient/{leaf}": g for leaf, g in gradients.items()}
    noted[f"{name}/loss"] = np.array(loss)
    if name == COLD:
        return noted
    noted |= _buffers(program, "met")
    program.train(placed)
    return noted | _buffers(program, "renewed")


def _buffers(program: Program, prefix: str) -> dict[str, Array]:
    return {n: a for n, a in note_state(program.state(), prefix).items() if "/buffers/" in n}
