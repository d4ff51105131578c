"""How fast a backend that has begun is, what memory it takes, and what it comes to."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from backends.program import Program
from suite.asv_benchmarks import process
from tasks.task import Chunk, State

params, param_names = process.PARAMS, process.PARAM_NAMES
timeout = process.TIMEOUT
repeat = (2, 30, 5.0)
"""Samples of one call each: at least 2, at most 30 or as many as fit in 5 seconds, twice over."""
unit = "loss"
STEPS = 20
"""After how many steps the loss is read."""


class Warm:
    """A program that has compiled all it needs, and chunks for it that lie on the device."""

    def __init__(self, task: str, backend: str):
        loaded, module = process.load_task(task), process.load_module(task, backend)
        self.initial: State = loaded.initial(process.SEED)
        self.program: Program = module.build(loaded, self.initial, process.SEED)
        self.chunk: Chunk = next(loaded.chunks("train", process.SEED))
        self.step: Any = self.program.place(first_steps(self.chunk, 1))
        self.test: Any = self.program.place(next(loaded.chunks("test")))
        self.program.train(self.step)
        self.program.predict(self.test)


def first_steps(chunk: Chunk, count: int) -> Chunk:
    """The chunk's first ``count`` steps, or all of them if it has fewer."""
    return {name: array[:count] for name, array in chunk.items()}


@functools.cache
def warm(task: str, backend: str) -> Warm:
    """asv calls ``setup`` before every sample: what takes long is kept."""
    return Warm(task, backend)


def setup(task: str, backend: str) -> None:
    """Every sample begins with the same state, as how many of its numbers are denormal matters.

    It is that after one step: the first one also takes the memory that all need.
    """
    process.become_worker(task, backend)
    found = warm(task, backend)
    found.program.restore(found.initial)
    found.program.train(found.step)


def time_train_step(task: str, backend: str) -> None:
    """One step of training on a batch that lies on the device."""
    found = warm(task, backend)
    found.program.train(found.step)


def time_predict(task: str, backend: str) -> None:
    """The outputs for the first test chunk, which lies on the device."""
    found = warm(task, backend)
    found.program.predict(found.test)


def peakmem_train(task: str, backend: str) -> None:
    """The process's memory at its highest, a chunk of training included."""
    found = warm(task, backend)
    found.program.train(found.program.place(found.chunk))


def track_loss_after_n_steps(task: str, backend: str) -> float:
    """The loss of step number ``STEPS``: what the same program computes is always the same."""
    found = warm(task, backend)
    program = found.program
    program.restore(found.initial)
    *_, losses = (program.train(program.place(chunk)) for chunk in _chunks(task, STEPS))
    return float(losses[-1])


def _chunks(task: str, steps: int) -> Iterator[Chunk]:
    """The first chunks of training, ``steps`` steps in all."""
    for chunk in process.load_task(task).chunks("train", process.SEED):
        part = first_steps(chunk, steps)
        steps -= len(next(iter(part.values())))
        yield part
        if not steps:
            return
