"""Equivalence: is a backend's implementation the same model as the float64 NumPy oracle?

From one seed: the initial loss, every gradient leaf, the loss of every one of N steps and the final
state, each within the task's envelope for the precision. NumPy's own gradients are checked by
central differences. No speed counts before this is shown.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import backends
from backends.program import Program
from suite.environment import at_once, machine, package_versions
from suite.launch import Ending, Worker, launch_all
from suite.records import Cell, write_json
from suite.revisions import HERE, Side
from tasks.rounding import envelope
from tasks.task import Array, Chunk, DataSource, Envelope, Precision, Task, Tree

ORACLE = "numpy"
PRECISIONS: tuple[Precision, ...] = ("float32", "float64")
"""In which all backends are verified unless others are named."""
CENTRAL_DIFFERENCES = 1e-6
"""A thousand times the cancellation error of a difference with the step that is used."""


@dataclass(frozen=True)
class Finding:
    """One quantity compared: its largest error, what was allowed, and where it first parted."""

    quantity: str
    error: float | None
    """None where the comparison itself was impossible."""
    tolerance: float
    where: str
    """The first leaf or step out of tolerance, or the one with the largest error."""
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """What was found of one backend in one mode and precision."""

    task: str
    backend: str
    precision: Precision
    steps: int
    findings: tuple[Finding, ...]
    outcome: str = "ok"
    """Of the worker; findings exist only if "ok"."""
    reason: str | None = None
    mode: str = ""
    """Empty in records of before there were modes."""
    device: str = "cpu"

    @property
    def backend_label(self) -> str:
        """The backend as it is asked for: ``backend:mode``."""
        return f"{self.backend}:{self.mode}"

    @property
    def verified(self) -> bool:
        """Whether the backend computes the same model."""
        return self.outcome == "ok" and all(f.passed for f in self.findings)

    @property
    def explanation(self) -> str | None:
        """Why it is not verified, naming the first leaf or step that parts; None if it is."""
        if self.outcome != "ok":
            return f"{self.outcome}: {self.reason}"
        failed = [
            f"{f.quantity} parts at {f.where}: error {f.error:.1e}, allowed {f.tolerance:.0e}"
            if f.error is not None
            else f"{f.quantity}: {f.where}"
            for f in self.findings
            if not f.passed
        ]
        return "; ".join(failed) or None


def trace(task: Task, program: Program, seed: int, steps: int) -> dict[str, Array]:
    """What is compared, by name: ``gradient/<leaf>``, ``loss`` (steps,), ``state/<leaf>``.

    ``initial loss`` is the loss that came with the gradients.
    """
    found: dict[str, Array] = {}
    losses: list[Array] = []
    for number, chunk in enumerate(first_steps(task, seed, steps)):
        placed = program.place(chunk)
        if number == 0:
            loss, gradients = program.gradients(placed)
            found["initial loss"] = np.array([loss])
            found |= {f"gradient/{leaf}": g for leaf, g in gradients.items()}
        losses.append(program.train(placed))
    state = program.state()
    found["loss"] = np.concatenate(losses)
    found |= {f"state/{leaf}": p for leaf, p in (*state.params.items(), *state.buffers.items())}
    for slot, tree in state.slots.items():
        found |= {f"state/{slot}/{leaf}": a for leaf, a in tree.items()}
    return found


def first_steps(task: Task, seed: int, steps: int, masks: bool = True) -> Iterator[Chunk]:
    """Chunks of so many steps to compare backends on, with what dropout keeps if ``masks``."""
    made = 0
    for chunk in task.verification_chunks(seed):
        taken = {name: a[: steps - made] for name, a in chunk.items()}
        yield {**taken, **(task.dropout_masks(taken, seed, made) if masks else {})}
        made += len(next(iter(taken.values())))
        if made == steps:
            return
    raise ValueError(f"an epoch of {task.name} is {steps - made} steps too short for its envelope")


def compare(found: Tree, oracle: Tree, envelope: Envelope) -> tuple[Finding, ...]:
    """Holds a trace against the oracle's."""
    tolerances = envelope.loss_tolerances()
    return (
        _compare_series("initial loss", found, oracle, tolerances[:1]),
        _compare_leaves("gradient", found, oracle, envelope.gradient),
        _compare_series("loss", found, oracle, tolerances),
        _compare_leaves("state", found, oracle, envelope.state),
    )


def _compare_series(quantity: str, found: Tree, oracle: Tree, tolerances: Array) -> Finding:
    """Relative, entry by entry, each with its tolerance; entries are named as steps, from 1."""
    a, b = found[quantity].astype(np.float64), oracle[quantity]
    if a.shape != b.shape:
        last = float(tolerances[-1])
        return Finding(quantity, None, last, f"{a.size} values, not {b.size}", False)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(a == b, 0, np.abs(a - b) / np.abs(b))  # a loss may be 0
    errors = np.where(np.isfinite(errors), errors, np.inf)
    outside = errors > tolerances
    at = int(np.argmax(outside)) if outside.any() else int(np.argmax(errors))
    return _finding(quantity, float(errors[at]), float(tolerances[at]), f"step {at + 1}")


def _compare_leaves(quantity: str, found: Tree, oracle: Tree, tolerance: float) -> Finding:
    """Relative to the largest entry of each leaf."""
    errors: dict[str, float] = {}
    for key, b in oracle.items():
        if not key.startswith(f"{quantity}/"):
            continue
        leaf = key.removeprefix(f"{quantity}/")
        if key not in found or found[key].shape != b.shape:
            shape = found[key].shape if key in found else "missing"
            return Finding(quantity, None, tolerance, f"{leaf} is {shape}, not {b.shape}", False)
        scale = float(np.abs(b).max()) or 1.0
        error = float(np.abs(found[key].astype(np.float64) - b).max()) / scale
        errors[leaf] = error if np.isfinite(error) else np.inf
    return _worst_leaf(quantity, errors, tolerance)


def _worst_leaf(quantity: str, errors: Mapping[str, float], tolerance: float) -> Finding:
    """Names the first leaf that is out of tolerance, or else the one with the largest error."""
    outside = [leaf for leaf, error in errors.items() if error > tolerance]
    at = outside[0] if outside else max(errors, key=errors.__getitem__)
    return _finding(quantity, errors[at], tolerance, at)


def _finding(quantity: str, error: float, tolerance: float, where: str) -> Finding:
    if not np.isfinite(error):
        return Finding(quantity, None, tolerance, f"not finite at {where}", False)
    return Finding(quantity, error, tolerance, where, error <= tolerance)


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
        ending = next((e for e in endings if e.outcome != "ok"), endings[0])
        findings: tuple[Finding, ...] = ()
        if ending.outcome == "ok":
            traces = [tree for job, (tree, _) in found.items() if job.kind == "trace"]
            if traces:
                oracle, candidate = traces
                findings += compare(candidate, oracle, allowed)
            for job, (errors, _) in found.items():
                if job.kind == "gradient_check":
                    by_leaf = {leaf: float(error) for leaf, error in errors.items()}
                    findings += (_worst_leaf("central differences", by_leaf, CENTRAL_DIFFERENCES),)
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
    if ending.outcome != "ok":
        return {}, ending
    if not output.exists():  # a worker of another revision, which knows another way
        return {}, Ending("crashed", "its worker cannot be verified by this program")
    with np.load(output, allow_pickle=False) as arrays:
        return dict(arrays), ending


def verdict_from(document: Mapping[str, Any]) -> Verdict:
    """The verdict that ``asdict`` made a document of."""
    findings = tuple(Finding(**f) for f in document["findings"])
    return Verdict(**{**document, "findings": findings})


def _sources_digest(root: Path, backend: str) -> str:
    """SHA-256 over every source file below ``root`` that a verdict on ``backend`` rests on."""
    folders = ("suite", "tasks", f"backends/{ORACLE}", f"backends/{backend}")
    files = sorted({file for folder in folders for file in (root / folder).rglob("*.py")})
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
