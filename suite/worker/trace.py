"""The trace of a program: all that the proof of equivalence compares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from backends.program import Program
from suite.records.verdict import AGAIN, RESTORED, UNFROZEN
from tasks.task import Array, Chunk, State, Task, Tree


def trace(task: Task, program: Program, seed: int, ends: Sequence[int]) -> dict[str, Array]:
    """Trains for ``ends[-1]`` steps and notes, by name, what programs are compared by:

    - ``initial loss`` (1,), which comes with the gradients, and ``gradient/<leaf>``, of the first
      batch;
    - ``again/<leaf>``, how far the same gradients differ when they are asked for again, relative
      to the largest entry, and ``again/loss``: 0, unless a model draws random numbers of its own;
    - ``loss`` (steps,), of every step;
    - ``state@<end>/<leaf>``, parameters, buffers and the optimiser's slots after so many steps,
      for each of ``ends``, which rise;
    - ``prediction@<end>/<kind>/<output>``, of every kind of batch that is evaluated, from the
      task's ``first_predicted`` state (end 0) and after each of ``ends``;
    - ``unfrozen/<leaf>``, how far each frozen leaf is from where it began, once all steps are made;
    - ``restored/state/<leaf>``, ``restored/step`` and ``restored/gradient/<leaf>``, how far the
      initial state and the first gradients differ from what they were, once all is restored.
    """
    *_, noted = stages(task, program, seed, ends)
    return noted


def stages(
    task: Task, program: Program, seed: int, ends: Sequence[int]
) -> Iterator[dict[str, Array]]:
    """Yields the trace as far as it goes: with the first gradients, the first predictions, the
    losses of every further chunk, and what is noted at each of ``ends``."""
    noted: dict[str, Array] = {}
    losses: list[Array] = []
    initial = program.state()
    first: Chunk = {}
    for begin, end in pairwise((0, *ends)):
        for chunk in steps_between(task, seed, begin, end):
            placed, first = program.place(chunk), first or chunk
            if not losses:
                loss, gradients = program.gradients(placed)
                noted["initial loss"] = np.array([loss])
                noted |= {f"gradient/{leaf}": g for leaf, g in gradients.items()}
                noted |= _unsteady(loss, gradients, *program.gradients(placed))
                yield noted
                noted |= _first_predictions(task, program, initial)
                yield noted
            losses.append(program.train(placed))
            noted["loss"] = np.concatenate(losses)
            yield noted
        noted |= _state(program, end) | _predictions(task, program, end)
        yield noted
    noted |= _unfrozen(program, initial, task.frozen)
    noted |= _restored(program, initial, program.place(first), noted)
    yield noted


def _unsteady(
    loss: float, gradients: Tree, loss_again: float, gradients_again: Tree
) -> dict[str, Array]:
    pairs = {"loss": (np.array(loss), np.array(loss_again))}
    pairs |= {leaf: (g, gradients_again[leaf]) for leaf, g in gradients.items()}
    return {f"{AGAIN}{leaf}": _difference(*pair) for leaf, pair in pairs.items()}


def _unfrozen(program: Program, initial: State, frozen: Sequence[str]) -> dict[str, Array]:
    now = program.state().params if frozen else {}
    return {f"{UNFROZEN}{leaf}": _difference(initial.params[leaf], now[leaf]) for leaf in frozen}


def _restored(program: Program, initial: State, first: Any, noted: Tree) -> dict[str, Array]:
    last = program.state()
    program.restore(initial)
    state = program.state()
    there = _leaves(state)
    pairs = {f"state/{leaf}": (a, there[leaf]) for leaf, a in _leaves(initial).items()}
    pairs["step"] = np.array(initial.step), np.array(state.step)
    _, gradients = program.gradients(first)
    program.restore(last)
    before = {leaf: noted[f"gradient/{leaf}"] for leaf in gradients}
    largest = max(float(np.abs(g).max()) for g in before.values())  # some are rounding alone
    found = {name: _difference(*pair) for name, pair in pairs.items()}
    found |= {f"gradient/{n}": _difference(before[n], g, largest) for n, g in gradients.items()}
    return {f"{RESTORED}{name}": error for name, error in found.items()}


def _difference(a: Array, b: Array, scale: float = 0.0) -> Array:
    """The largest difference, relative to ``scale``, or else to the largest entry of ``a``."""
    if np.array_equal(a, b, equal_nan=True):
        return np.array(0.0)
    return np.array(np.abs(a - b).max() / (scale or np.abs(a).max() or 1.0))


def _leaves(state: State) -> dict[str, Array]:
    leaves = {**state.params, **state.buffers}
    for slot, tree in state.slots.items():
        leaves |= {f"{slot}/{leaf}": a for leaf, a in tree.items()}
    return leaves


def _state(program: Program, end: int) -> dict[str, Array]:
    return {f"state@{end}/{leaf}": a for leaf, a in _leaves(program.state()).items()}


def _first_predictions(task: Task, program: Program, initial: State) -> dict[str, Array]:
    state = task.first_predicted(initial)
    if state is initial:
        return _predictions(task, program, 0)
    program.restore(state)
    noted = _predictions(task, program, 0)
    program.restore(initial)
    return noted


def _predictions(task: Task, program: Program, end: int) -> dict[str, Array]:
    return {
        f"prediction@{end}/{kind}/{name}": np.asarray(output)
        for kind, chunk in task.evaluation_kinds()
        for name, output in program.predict(program.place(chunk)).items()
    }


def steps_between(
    task: Task, seed: int, begin: int, end: int, masks: bool = True
) -> Iterator[Chunk]:
    """The chunks of the proof from step ``begin`` to step ``end``, with ``masks`` of dropout."""
    first = 0
    for chunk in task.verification_chunks(seed):
        last = first + len(next(iter(chunk.values())))
        part = slice(max(begin - first, 0), min(end, last) - first)
        if part.start < part.stop:
            taken = {name: a[part] for name, a in chunk.items()}
            drawn = task.dropout_masks(taken, seed, first + part.start) if masks else {}
            yield {**taken, **drawn}
        first = last
        if first >= end:
            return
    raise ValueError(f"an epoch of {task.name} is {end - first} steps too short for its envelope")
