"""One process for each backend: frameworks do not share one, here neither."""

from __future__ import annotations

import atexit
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
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


NO_FUSION = "--xla_cpu_use_fusion_emitters=false"
XLA_FLAGS = {
    "jax": NO_FUSION,
    "tensorflow": (
        f"--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true {NO_FUSION}"
    ),
}
"""Flags that let XLA optimise little; JAX has a setting of its own for the others."""
_modules_at_first: set[str] = set()
"""Modules of this process, a backend's, once those of the backend were imported and no test."""


def _begin(name: str) -> None:
    compile_quickly(name)
    backend = backends.load(name)
    backend.configure("cpu", 1, "float32")
    for file in sorted(Path(str(backend.__file__)).parent.glob("*.py")):
        importlib.import_module(f"backends.{name}.{file.stem}".removesuffix(".__init__"))
    _modules_at_first.update(name for name, module in sys.modules.items() if module)
    if "coverage" not in sys.modules:  # it saves at the end what it measured
        # what frameworks tidy up before they end takes seconds, after hundreds of programs
        atexit.register(os._exit, 0)


def modules_at_first(_: str) -> set[str]:
    """The modules that a backend's process had loaded before any test."""
    return _modules_at_first


def compile_quickly(backend: str) -> None:
    """Lets XLA optimise little: programs run for milliseconds here and compile for many seconds.

    It saves two thirds of compiling. `run` and `verify` compile as users do, in the tests of them.
    """
    if backend in XLA_FLAGS:
        os.environ["XLA_FLAGS"] = XLA_FLAGS[backend]
    if backend == "jax":
        import jax

        jax.config.update("jax_disable_most_optimizations", True)


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
