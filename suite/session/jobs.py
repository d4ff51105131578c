"""The jobs that a verdict rests on, and the workers that do them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import backends
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.session.process import Ending, Worker, launch_all
from suite.system.environment import at_once
from suite.system.revisions import HERE, Side
from tasks.task import DataSource, Precision, Task, Tree

EXACT: Precision = "float64"


@dataclass(frozen=True)
class Job:
    """The work of a worker for a verdict: a ``trace`` to each of ``ends``, or a
    ``gradient_check`` or the statistics of ``dropout``."""

    kind: str
    choice: backends.Choice
    precision: Precision
    device: str
    ends: tuple[int, ...] = ()


@dataclass(frozen=True)
class Jobs:
    """Runs the jobs of a task's verdicts, those of one backend and device in one worker.

    ``timeout`` [s] bounds each job, ``memory_limit`` [bytes] each worker; ``side`` is the program
    that does them.
    """

    task: Task
    threads: int
    timeout: float | None
    memory_limit: int | None
    side: Side

    def run(self, jobs: Sequence[Job]) -> dict[Job, tuple[Tree, Ending]]:
        """Runs the jobs. Returns what each wrote, by name, and how it ended."""
        with tempfile.TemporaryDirectory() as folder:
            outputs = {job: Path(folder) / f"{number}.npz" for number, job in enumerate(jobs)}
            groups: dict[object, list[Job]] = {}
            for job in jobs:  # a worker of another revision may know no several jobs
                groups.setdefault((job.choice, job.device) if self._here else job, []).append(job)
            # those that compile most are declared last: begun first, they do not end last alone
            workers = [self._worker(group, outputs) for group in reversed(groups.values())]
            endings = launch_all(workers, at_once(self.threads))[::-1]
            return {
                job: read_trace(outputs[job], ending)
                for group, ending in zip(groups.values(), endings, strict=True)
                for job in group
            }

    @property
    def _here(self) -> bool:
        return self.side.tree == HERE.tree

    def _worker(self, group: Sequence[Job], outputs: Mapping[Job, Path]) -> Worker:
        """A worker for the jobs of one backend and device."""
        asked = [
            {
                "kind": job.kind,
                "cell": asdict(self.cell(job.choice, job.precision, job.device)),
                "ends": job.ends,
                "output": str(outputs[job]),
                "memory_limit": self.memory_limit,
            }
            for job in group
        ]
        cell = self.cell(group[0].choice, group[0].precision, group[0].device)
        how: dict[str, Any] = {
            "timeout": self.timeout and self.timeout * len(group),
            "command": self.side.command,
        }
        if self._here:
            return Worker(cell, "several", jobs=asked, memory_limit=self.memory_limit, **how)
        (job,) = asked
        return Worker(**{**job, "cell": cell, **how})

    def watch(self, choice: backends.Choice, device: str, **details: Any) -> tuple[Tree, Ending]:
        """The notes of a worker that watched a backend, for its causes."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "notes.npz"
            worker = Worker(
                self.cell(choice, EXACT, device),
                "watch",
                timeout=self.timeout,
                command=self.side.command,
                memory_limit=self.memory_limit,
                output=str(output),
                **details,
            )
            (ending,) = launch_all([worker], 1)
            return read_trace(output, ending)

    def cell(self, choice: backends.Choice, precision: Precision, device: str) -> Cell:
        return cell_of(self.task, choice, precision, device, self.threads)


def cell_of(
    task: Task, choice: backends.Choice, precision: Precision, device: str, threads: int = 1
) -> Cell:
    """The cell of a worker that proves something."""
    source: DataSource = task.provenance.source
    return Cell(
        task=task.name,
        variant=task.variant,
        backend=choice[0],
        mode=choice[1],
        device=device,
        precision=precision,
        seed=task.verification_seed,
        profile=task.profile,
        data=source,
        threads=threads,
        options=dict(task.options),
    )


def read_trace(output: Path, ending: Ending) -> tuple[Tree, Ending]:
    """Returns what a job wrote, by name, and how it ended: as its worker, or as it said itself."""
    own = output.with_suffix(".json")
    if own.exists():
        told = json.loads(own.read_text(encoding="utf-8"))
        ending = Ending(Outcome(told["outcome"]), told["reason"], ending.stderr)
    if ending.outcome is not Outcome.OK:
        return {}, ending
    if not output.exists():  # a worker of another revision, which knows another way
        return {}, Ending(Outcome.CRASHED, "its worker cannot be verified by this program")
    with np.load(output, allow_pickle=False) as arrays:
        return dict(arrays), ending
