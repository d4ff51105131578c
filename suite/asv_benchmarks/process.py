"""The process of a benchmark: a worker's environment, and in it one backend, set up."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from types import ModuleType

import backends
import tasks
from suite.system.environment import worker_environment
from tasks.task import Task

PARAMS = [list(tasks.NAMES), list(backends.NAMES)]
PARAM_NAMES = ["task", "backend"]
TIMEOUT = 600
"""Seconds for one benchmark of one task in one backend, with all its repetitions."""
SEED = 0
_MARK = "TETRAGRAD_ASV_WORKER"
"""The variable that names the backend whose worker's environment this process has."""


def become_worker(task: str, backend: str) -> None:
    """Starts this process anew in the environment that the backend's workers have.

    asv gives all benchmarks the same environment; threads and allocator are read from it
    before the first line of Python runs. NotImplementedError, which asv takes for a benchmark to
    be skipped, if the backend is not there.
    """
    ((_, mode),) = backends.choices(backend)
    if reason := backends.unavailable(backend, mode, task):
        raise NotImplementedError(reason)
    if os.environ.get(_MARK) != backend:
        environment = {**worker_environment(backend, "cpu", threads=1), _MARK: backend}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


@functools.cache
def load_task(name: str) -> Task:
    """A task in its default variant, on generated data."""
    return tasks.load(name, "quick", "generated")


@functools.cache
def load_module(task: str, backend: str) -> ModuleType:
    """A task's module in a backend, whose framework is set up as in a worker."""
    loaded = backends.load(backend)
    loaded.configure("cpu", 1, "float32", loaded.MODES[0])
    return importlib.import_module(f"backends.{backend}.{task}")
