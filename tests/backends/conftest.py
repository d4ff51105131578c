"""One process for each backend: frameworks do not share one, here neither."""

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

The backend may be ``backend:mode``; the function is given its name alone. To start a framework
takes seconds, so that its process serves all precisions and modes, one call after the other.
"""


def _begin(name: str) -> None:
    if name == "jax":
        compile_quickly()
    backends.load(name).configure("cpu", 1, "float32")


def compile_quickly() -> None:
    """Lets XLA optimise little: programs run for milliseconds here and compile for many seconds.

    It saves two thirds of compiling. `run` and `verify` compile as users do, in the tests of them.
    """
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    os.environ["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=false"


def _run(
    choice: backends.Choice, precision: Precision, function: Callable[..., T], given: tuple[Any]
) -> T:
    name, mode = choice
    backends.load(name).configure("cpu", 1, precision, mode)
    return function(name, *given)


@pytest.fixture(scope="session")
def call() -> Iterator[Call]:
    pools: dict[str, ProcessPoolExecutor] = {}

    def call(backend: str, precision: Precision, function: Callable[..., T], *arguments: Any) -> T:
        (choice,) = backends.choices(backend)
        name, mode = choice
        if reason := backends.load(name).available(mode):
            pytest.skip(reason)
        if name not in pools:
            before, own = dict(os.environ), worker_environment(name, "cpu", 1)
            os.environ.clear()
            os.environ.update(own)
            try:
                pools[name] = ProcessPoolExecutor(1, get_context("spawn"), _begin, (name,))
                pools[name].submit(int).result()  # the process is made here, with this environment
            finally:
                os.environ.clear()
                os.environ.update(before)
        return pools[name].submit(_run, choice, precision, function, arguments).result()

    yield call
    for pool in pools.values():
        pool.shutdown()
