"""The verifier: runs the workers that a verdict rests on, and keeps verdicts."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

import backends
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import write_json
from suite.records.verdict import ORACLE, Deviation, Verdict, verdict_from
from suite.session.equivalence import CENTRAL_DIFFERENCES, compare, worst_leaf
from suite.session.process import Ending, Worker, launch_all
from suite.system.environment import at_once, machine, package_versions
from suite.system.revisions import HERE, Side
from tasks.rounding import envelope
from tasks.task import DataSource, Precision, Task, Tree

Wanted = tuple[backends.Choice, Precision]
"""What is to be verified: a backend in one mode, and the precision."""


@dataclass(frozen=True)
class _Job:
    """What a worker does for a verdict: a ``trace`` of so many steps, or a ``gradient_check``."""

    kind: str
    choice: backends.Choice
    precision: Precision
    device: str
    steps: int = 0


class Verifier:
    """Verifies backends against the oracle, each in a worker of its own, as many as there are CPUs.

    The oracle's traces are made once; with ``cache_folder``, a backend that was verified before
    with the same sources, packages, data and machine is not run again. The sources are those of
    ``side``, the tolerances those of ``task``.
    """

    def __init__(
        self,
        task: Task,
        device: str,
        threads: int,
        timeout: float | None = None,
        cache_folder: Path | None = None,
        memory_limit: int | None = None,
        side: Side = HERE,
    ):
        self._task, self._device, self._threads, self._timeout = task, device, threads, timeout
        self._cache_folder = cache_folder
        self._memory_limit = memory_limit
        self._side = side
        self._oracle: dict[_Job, tuple[Tree, Ending]] = {}
        """What it came to, which every further verdict needs."""

    def verify(self, wanted: Sequence[Wanted]) -> list[Verdict]:
        """The verdict on each, in that order. KeyboardInterrupt if the user interrupts.

        NumPy's gradients must pass the central differences too: that they agree with themselves in
        float64 would prove nothing.
        """
        kept = {one: verdict for one in wanted if (verdict := self._kept(*one))}
        rest = [one for one in wanted if one not in kept]
        jobs = dict.fromkeys(job for one in rest for job in self._jobs(*one))
        done = self._oracle | self._run([job for job in jobs if job not in self._oracle])
        self._oracle = {job: found for job, found in done.items() if job == self._of_oracle(job)}
        for one in rest:
            kept[one] = self._judge(*one, done)
            self._keep(*one, kept[one])
        return [kept[one] for one in wanted]

    def _jobs(self, choice: backends.Choice, precision: Precision) -> list[_Job]:
        """What a verdict takes: the trace, the oracle's, and for NumPy the central differences."""
        steps = envelope(self._task, precision).steps
        own = _Job("trace", choice, precision, self._device, steps)
        found = []
        if own != self._of_oracle(own):
            found += [self._of_oracle(own), own]
        if choice[0] == ORACLE:
            found.append(_Job("gradient_check", choice, "float64", "cpu"))
        return found

    def _of_oracle(self, job: _Job) -> _Job:
        """The oracle's job beside one."""
        choice = backends.choices(ORACLE)[0]
        return replace(job, choice=choice, precision="float64", device="cpu")

    def _run(self, jobs: Sequence[_Job]) -> dict[_Job, tuple[Tree, Ending]]:
        """What each wrote, by name, and how it ended."""
        with tempfile.TemporaryDirectory() as folder:
            outputs = [Path(folder) / f"{number}.npz" for number in range(len(jobs))]
            workers = [
                Worker(
                    self._cell(job.choice, job.precision, job.device),
                    job.kind,
                    timeout=self._timeout,
                    command=self._side.command,
                    memory_limit=self._memory_limit,
                    steps=job.steps,
                    output=str(output),
                )
                for job, output in zip(jobs, outputs, strict=True)
            ]
            endings = launch_all(workers, at_once(self._threads))
            return {
                job: _read(output, ending)
                for job, output, ending in zip(jobs, outputs, endings, strict=True)
            }

    def _judge(
        self,
        choice: backends.Choice,
        precision: Precision,
        done: Mapping[_Job, tuple[Tree, Ending]],
    ) -> Verdict:
        allowed = envelope(self._task, precision)
        found = {job: done[job] for job in self._jobs(choice, precision)}
        endings = [ending for _, ending in found.values()]
        ending = next((e for e in endings if e.outcome is not Outcome.OK), endings[0])
        findings: tuple[Deviation, ...] = ()
        if ending.outcome is Outcome.OK:
            traces = [tree for job, (tree, _) in found.items() if job.kind == "trace"]
            if traces:
                oracle, candidate = traces
                findings += compare(candidate, oracle, allowed)
            for job, (errors, _) in found.items():
                if job.kind == "gradient_check":
                    by_leaf = {leaf: float(error) for leaf, error in errors.items()}
                    findings += (worst_leaf("central differences", by_leaf, CENTRAL_DIFFERENCES),)
        return Verdict(
            task=self._task.label,
            backend=choice[0],
            precision=precision,
            steps=allowed.steps,
            findings=findings,
            outcome=ending.outcome,
            reason=ending.reason,
            mode=choice[1],
            device=self._device,
        )

    def _cell(self, choice: backends.Choice, precision: Precision, device: str) -> Cell:
        source: DataSource = self._task.provenance.source
        return Cell(
            task=self._task.name,
            variant=self._task.variant,
            backend=choice[0],
            mode=choice[1],
            device=device,
            precision=precision,
            seed=self._task.verification_seed,
            profile=self._task.profile,
            data=source,
            threads=self._threads,
        )

    def _kept(self, choice: backends.Choice, precision: Precision) -> Verdict | None:
        """From the cache."""
        path = self._cache_path(choice, precision)
        if path and path.is_file():
            return verdict_from(json.loads(path.read_text()))
        return None

    def _keep(self, choice: backends.Choice, precision: Precision, verdict: Verdict) -> None:
        path = self._cache_path(choice, precision)
        if path and verdict.verified:
            with suppress(OSError):  # it only saves time
                write_json(path, asdict(verdict))

    def _cache_path(self, choice: backends.Choice, precision: Precision) -> Path | None:
        if self._cache_folder is None:
            return None
        facts = {
            "cell": asdict(self._cell(choice, precision, self._device)),
            "data": self._task.provenance.digest,
            "sources": _sources_digest(self._side.tree, choice[0]),
            "packages": dict(package_versions()),
            "machine": dict(machine()),
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
        return self._cache_folder / f"{key}.json"


def _read(output: Path, ending: Ending) -> tuple[Tree, Ending]:
    if ending.outcome is not Outcome.OK:
        return {}, ending
    if not output.exists():  # a worker of another revision, which knows another way
        return {}, Ending(Outcome.CRASHED, "its worker cannot be verified by this program")
    with np.load(output, allow_pickle=False) as arrays:
        return dict(arrays), ending


def _sources_digest(root: Path, backend: str) -> str:
    """SHA-256 over every source file below ``root`` that a verdict on ``backend`` rests on."""
    folders = ("suite", "tasks", f"backends/{ORACLE}", f"backends/{backend}")
    files = sorted({file for folder in folders for file in (root / folder).rglob("*.py")})
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
