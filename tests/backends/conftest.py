"""One process for each backend and precision: frameworks do not share one, here neither."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import pytest

import backends
from suite.system.environment import worker_environment
from tasks.task import Precision

T = TypeVar("T")
Call = Callable[..., Any]
"""``call(backend, precision, function, *arguments)`` runs a function in the backend's process.

The backend may be ``backend:mode``; the function is given its name alone.
"""


def _configure(choice: backends.Choice, precision: Precision) -> None:
    name, mode = choice
    backends.load(name).configure("cpu", 1, precision, mode)


@pytest.fixture(scope="session")
def call() -> Iterator[Call]:
    pools: dict[tuple[backends.Choice, str], ProcessPoolExecutor] = {}

    def call(backend: str, precision: Precision, function: Callable[..., T], *arguments: Any) -> T:
        ((name, mode),) = backends.choices(backend)
        if reason := backends.load(name).available(mode):
            pytest.skip(reason)
        key = ((name, mode), precision)
        if key not in pools:
            before, own = dict(os.environ), worker_environment(name, "cpu", 1)
            os.environ.clear()
            os.environ.update(own)
            try:
                pools[key] = ProcessPoolExecutor(1, get_context("spawn"), _configure, key)
                pools[key].submit(int).result()  # the process is made here, with this environment
            finally:
                os.environ.clear()
                os.environ.update(before)
        return pools[key].submit(function, name, *arguments).result()

    yield call
    for pool in pools.values():
        pool.shutdown()
