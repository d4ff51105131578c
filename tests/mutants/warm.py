"""Warm processes: each has imported one framework, and forks for every job of the proof.

A worker of the proof costs its framework's start and its compiling; a fork has the first behind it,
and stops as soon as the mistake is named: the first gradients are enough for most. It does a
worker's own jobs by a worker's own code. What differs is said in ``QUICK`` and ``until_named``.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tasks
from backends.program import Program
from suite.records import events
from suite.records.cell import Cell
from suite.records.events import Ended, Outcome
from suite.records.verdict import Verdict
from suite.session.equivalence import compare
from suite.session.process import Ending
from suite.system.environment import worker_environment
from suite.system.git import ROOT
from suite.worker import main as worker
from suite.worker.trace import stages
from tasks.task import Array, DataSource, Precision, Task, Tree

FRAMEWORKS: Mapping[str, tuple[str, ...]] = {
    "numpy": ("scipy.sparse",),
    "torch": ("torch",),
    "tensorflow": ("tensorflow", "keras"),
    "jax": ("jax", "jax.numpy", "optax"),
}
"""Modules that are imported before the first fork. None of them starts a thread by its import."""
QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""XLA compiles for longer than it computes here; a mistake in a model stays one without its
optimisations, and so does a right model, as the verdicts on the source as it is show."""


class Warm:
    """A backend's warm process, which imports Tetragrad from a source tree."""

    def __init__(self, backend: str, tree: Path, timeout: int):
        paths = os.pathsep.join((str(tree), str(ROOT)))  # the tests are here alone
        own = worker_environment(backend, "cpu", 1)
        self._timeout = timeout
        self.seconds = 0.0
        """Processor seconds of all jobs."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "tests.mutants.warm", backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**own, **QUICK, "PYTHONPATH": paths},
        )

    def ask(self, job: Mapping[str, Any]) -> Ending:
        """Has a job done: a worker's, with the ``place`` and the ``oracle`` of ``until_named``."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({**job, "timeout": self._timeout}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the warm process ended with exit code {self._process.wait()}")
        ended = events.read(line.encode())
        assert isinstance(ended, Ended)
        self.seconds += float(self._process.stdout.readline())
        return Ending(ended.outcome, ended.reason)

    def close(self) -> None:
        """Ends the process, whose input ends."""
        with self._process:
            pass


def main() -> None:
    """Serves the backend that the command line names: a job a line, and how it ended."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a framework prints
    if sys.argv[1] == "tensorflow":  # as its backend does it
        sys.modules.setdefault("jax", None)  # type: ignore[arg-type]
    for module in FRAMEWORKS[sys.argv[1]]:
        importlib.import_module(module)
    load = functools.cache(_load)
    for line in sys.stdin:
        job = json.loads(line)
        cell = Cell(**job["cell"])
        options = tuple(cell.options.items())
        task = load(cell.task, cell.variant, cell.profile, cell.data, options)
        child = os.fork()
        if not child:
            _work(job, task, replies)
        _, status, used = os.wait4(child, 0)
        if status:
            replies.write(events.line(_ended(status)))
        replies.write(f"{used.ru_utime + used.ru_stime}\n")


def _load(
    name: str,
    variant: str | None,
    profile: str,
    data: DataSource,
    options: tuple[tuple[str, str], ...],
) -> Task:
    return tasks.load(name, profile, data, variant, dict(options))


def _work(job: Mapping[str, Any], task: Task, replies: Any) -> None:
    """Does a job in this process, and ends it."""
    code = 1
    try:
        signal.alarm(job["timeout"])
        replaced: dict[str, object] = {"_load": lambda cell: task}
        if job["place"]:
            replaced["trace"] = functools.partial(until_named, job)
        vars(worker).update(replaced)
        replies.write(events.line(worker._done(job, lambda event: None)))
        code = 0
    except BaseException:  # noqa: BLE001  (a fork must never go on with the parent's work)
        traceback.print_exc()
    finally:
        os._exit(code)


def _ended(status: int) -> Ended:
    """How a fork ended that said nothing itself."""
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return Ended(Outcome.TIMEOUT, "not done in time")
    return Ended(Outcome.CRASHED, f"ended with status {status}")


def until_named(
    job: Mapping[str, Any], task: Task, program: Program, seed: int, ends: Sequence[int]
) -> dict[str, Array]:
    """The trace, made until the message of the verdict on it names the ``place`` of a mistake.

    What is not computed by then is taken to be right, as in the trace in the file ``oracle``.
    """
    with np.load(job["oracle"], allow_pickle=False) as arrays:
        oracle = dict(arrays)
    cell = Cell(**job["cell"])
    noted: dict[str, Array] = {}
    for noted in stages(task, program, seed, ends):
        whole = completed(noted, oracle, ends[-1])
        if re.search(job["place"], explanation(task, cell.backend, cell.precision, whole, oracle)):
            return whole
    return noted


def completed(noted: Tree, oracle: Tree, steps: int) -> dict[str, Array]:
    """A trace of ``steps`` of which some is ``noted``, the rest being the oracle's."""
    losses = noted.get("loss", np.empty(0))
    rest = oracle["loss"][len(losses) : steps]
    return {**oracle, **noted, "loss": np.concatenate([losses, rest])}


def explanation(task: Task, backend: str, precision: Precision, trace: Tree, oracle: Tree) -> str:
    """Why a backend with that trace is not verified; empty if it is."""
    allowed = task.envelopes[precision]
    findings = compare(trace, oracle, allowed)
    return Verdict(task.label, backend, precision, allowed.steps, findings).explanation or ""


if __name__ == "__main__":
    main()
