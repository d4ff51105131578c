"""How long it takes until a backend has begun: its import, its first chunk."""

from __future__ import annotations

import time

from suite.asv_benchmarks import process

params, param_names = process.PARAMS, process.PARAM_NAMES
timeout = process.TIMEOUT
unit = "s"
setup = process.become_worker


def track_import_seconds(task: str, backend: str) -> float:
    """Importing and setting up the framework, and the task's module in it [s]."""
    begin = time.perf_counter()
    process.load_module(task, backend)
    return time.perf_counter() - begin


def track_first_chunk_seconds(task: str, backend: str) -> float:
    """Building the program and training its first chunk, compilation included [s]."""
    loaded, module = process.load_task(task), process.load_module(task, backend)
    chunk, initial = next(loaded.chunks("train", process.SEED)), loaded.initial(process.SEED)
    begin = time.perf_counter()
    program = module.build(loaded, initial, process.SEED)
    program.train(program.place(chunk))
    return time.perf_counter() - begin
