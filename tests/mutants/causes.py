"""Causes of mutants, in this process on tiny tasks: ``python -m tests.mutants.causes BACKEND``.

Quick, where ``python -m tests.mutants`` takes hours; one framework to a process.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import backends
import tasks
from backends.program import Program
from suite.causes.evidence import FIRST, Window
from suite.records.taps import Observation
from suite.records.verdict import Verdict
from suite.session.first_difference import first_difference
from suite.session.why import Case, of_outputs, with_operation
from suite.system.git import ROOT
from suite.worker.observing import observed
from suite.worker.trace import trace
from suite.worker.watch import watch
from tasks.task import Chunk, Task, Tree
from tests.backends.conftest import compile_quickly
from tests.mutants.mutant import Mutant
from tests.mutants.table import TABLE
from tests.tasks.tiny import tiny

STEPS = 6
"""Steps of the tiny tasks that are watched and compared."""
WINDOWS: tuple[Window, ...] = (FIRST, (FIRST[1], STEPS))


class _Instead:
    """Finds one module in another file than its own."""

    def __init__(self, module: str, path: Path):
        self._module, self._path = module, path

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._module:
            return None
        return importlib.util.spec_from_file_location(name, self._path)


@contextmanager
def planted_here(mutant: Mutant) -> Iterator[None]:
    """A backend's modules are imported anew, with the mistake, as long as the block lasts."""
    package = f"backends.{mutant.backend}"
    module = mutant.file.removesuffix(".py").replace("/", ".")
    kept = {n: m for n, m in sys.modules.items() if n.startswith(f"{package}.")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.py"
        path.write_text(mutant.changed((ROOT / mutant.file).read_text()))
        finder = _Instead(module, path)
        _forget(package)
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            _forget(package)
            sys.modules.update(kept)
            for name, known in kept.items():
                setattr(sys.modules[package], name.removeprefix(f"{package}."), known)


def _forget(package: str) -> None:
    for name in [n for n in sys.modules if n.startswith(f"{package}.")]:
        del sys.modules[name]
        with suppress(AttributeError):  # which `from backends.numpy import ...` looks at
            delattr(sys.modules[package], name.removeprefix(f"{package}."))


def task_of(label: str) -> Task:
    """The tiny task of a label, as the proof trains it, whose batches come again and again."""
    (choice,) = tasks.choices(label)
    task = tiny(choice).verified()
    chunks = task.verification_chunks

    def endless(seed: int) -> Iterator[Chunk]:
        while True:
            yield from chunks(seed)

    task.verification_chunks = endless  # type: ignore[method-assign]
    return task


@dataclass(frozen=True)
class Noted:
    """The notes on a backend and a tiny task in float64."""

    notes: Tree
    trace: Tree
    steps: tuple[Observation, ...]


def noted(backend: str, label: str, moved: Tree | None) -> Noted:
    """Watches, traces and observes a backend."""
    task = task_of(label)
    module = importlib.import_module(f"backends.{backend}.{task.name}")
    initial = task.initial(task.verification_seed).astype("float64")

    def program() -> Program:
        made: Program = module.build(task, initial, None)
        return made

    seed = task.verification_seed
    notes = watch(task, program(), initial, seed, WINDOWS, moved)
    traced = trace(task, program(), seed, (STEPS,))
    return Noted(notes, traced, tuple(observed(task, program(), seed, (1, 2))))


@cache
def oracle(label: str) -> Noted:
    """The same of the oracle."""
    return noted(Task.oracle, label, None)


def cause(mutant: Mutant) -> str:
    """The place and the cause of a mutant, in words."""
    reference = oracle(mutant.task)
    with planted_here(mutant):
        own = noted(mutant.backend, mutant.task, reference.notes)
    return explained(mutant.task, own, reference)


def explained(label: str, own: Noted, reference: Noted) -> str:
    """The words on a backend that is held against the oracle."""
    task = task_of(label)
    said = Case(task, own.notes, reference.notes).words(WINDOWS)
    said = said or of_outputs(own.trace, reference.trace, task.envelopes["float64"].gradient)
    pairs = zip(own.steps, reference.steps, strict=True)
    found = (first_difference(*pair, task.envelopes["float64"]) for pair in pairs)
    located = next((place for place in found if place), None)
    verdict = Verdict(task.label, "", "float64", STEPS, (), cause=said)
    where = f"[{located.operation}, {located.phase}] " if located else ""
    return f"{where}{with_operation(task, verdict, located).cause}"


def main() -> int:
    """Tells the cause of every chosen mutant."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.causes", description=__doc__)
    parser.add_argument("backend", choices=backends.NAMES)
    parser.add_argument("--name", type=re.compile, default=re.compile(""))
    asked = parser.parse_args()
    compile_quickly(asked.backend)
    backends.load(asked.backend).configure("cpu", 1, "float64")
    for mutant in TABLE:
        if mutant.backend == asked.backend and asked.name.search(mutant.label):
            try:
                said = cause(mutant)
            except Exception as error:  # noqa: BLE001  (a mutant may crash)
                said = f"crashed: {error!r}"
            print(f"{mutant.label}\n    {said}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
