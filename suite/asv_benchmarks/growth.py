"""How time and memory grow with the number of chunks that are trained: in proportion, and not."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np
import psutil

from suite.asv_benchmarks import process, training
from tasks.task import Chunk

params, param_names = process.PARAMS, process.PARAM_NAMES
timeout = process.TIMEOUT
setup = training.setup
CHUNKS = (4, 16, 64)
"""One, four and sixteen times the work."""
STEPS = 2
"""Steps of a chunk: how long one is, is another question."""
TURNS = 3
"""The least of so many times counts."""


def track_exponent_of_time(task: str, backend: str) -> float:
    """The slope of log seconds over log chunks: 1 if time grows in proportion to samples."""
    seconds = [min(_seconds(task, backend, count) for _ in range(TURNS)) for count in CHUNKS]
    slope, _ = np.polyfit(np.log(CHUNKS), np.log(seconds), 1)
    return float(slope)


def track_memory_per_chunk(task: str, backend: str) -> float:
    """By how much a process grows with every further chunk [bytes]: 0 if nothing is kept."""
    held = []
    for count in CHUNKS:
        _seconds(task, backend, count)
        held.append(psutil.Process().memory_info().rss)
    return (held[-1] - held[-2]) / CHUNKS[-1]


track_exponent_of_time.unit = "exponent"  # type: ignore[attr-defined]
track_memory_per_chunk.unit = "bytes"  # type: ignore[attr-defined]


def _seconds(task: str, backend: str, count: int) -> float:
    """Seconds of gathering, placing and training so many chunks, as a worker does."""
    program = training.warm(task, backend).program
    begin = time.perf_counter()
    for chunk in _chunks(task, count):
        program.train(program.place(chunk))
    return time.perf_counter() - begin


def _chunks(task: str, count: int) -> Iterator[Chunk]:
    """So many chunks of a few steps, epoch after epoch."""
    loaded = process.load_task(task)
    epochs = (loaded.chunks("train", process.SEED, epoch) for epoch in itertools.count())
    for chunk in itertools.islice(itertools.chain.from_iterable(epochs), count):
        yield training.first_steps(chunk, STEPS)
