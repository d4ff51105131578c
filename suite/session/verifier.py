"""The verifier: asks for the jobs that a verdict rests on, judges, and keeps verdicts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import backends
import tasks
from suite.records import anchors
from suite.records.events import Outcome
from suite.records.machines import facts_of
from suite.records.verdict import Deviation, Verdict, joined
from suite.session import verdict_cache
from suite.session.equivalence import (
    CENTRAL_DIFFERENCES,
    compare,
    uncompared,
    unfrozen,
    unrestored,
    unsteady,
    worst_leaf,
)
from suite.session.jobs import EXACT, Job, Jobs
from suite.session.process import Ending
from suite.session.verdict_cache import sources_digest
from suite.session.why import Explainer
from suite.system.environment import machine
from suite.system.revisions import HERE, Side
from suite.worker import imported
from suite.worker.dropout import dropout_finding
from tasks import outside
from tasks.task import Envelope, Precision, RequestError, Task, Tree

Wanted = tuple[backends.Choice, Precision]
"""A verdict to find: on a backend in one mode, and in a precision."""


class Verifier:
    """Verifies backends against the oracle, each in a worker of its own, as many as there are CPUs.

    A worker does all that is asked of its backend: a framework is slow to start.

    The oracle's trace is made once, for all precisions; with ``cache_folder``, a backend that was
    verified before with the same sources, packages, data and machine is not run again, unless all
    is to be ``fresh``. The sources are those of ``side``, the tolerances those of ``task``. If it
    ``explains``, a further worker looks for the cause of every failure.
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
        explains: bool = False,
        fresh: bool = False,
    ):
        self.task, self._device = task, device
        self._cache_folder, self._side, self._fresh = cache_folder, side, fresh
        self._workers = Jobs(task, threads, timeout, memory_limit, side)
        self._oracle_choice = oracle(task.name)
        self._oracle: dict[Job, tuple[Tree, Ending]] = {}
        """Results of the oracle, which every further verdict needs, by its job."""
        self._explainer = Explainer(task, self._oracle_choice, self._watch) if explains else None

    def verify(self, wanted: Sequence[Wanted]) -> list[Verdict]:
        """The verdict on each, in that order. KeyboardInterrupt if the user interrupts.

        The oracle's gradients must pass the central differences too: that they agree with
        themselves in float64 would prove nothing.
        """
        kept = {one: verdict for one in wanted if (verdict := self._kept(*one))}
        rest = [one for one in wanted if one not in kept]
        jobs = dict.fromkeys(job for one in rest for job in self._jobs(*one))
        begin = time.monotonic()
        done = self._oracle | self._run([job for job in jobs if job not in self._oracle])
        seconds = time.monotonic() - begin
        self._oracle = {job: found for job, found in done.items() if job == self._oracle_job()}
        doubt = self._doubt(done)
        for one in rest:
            kept[one] = self._explained(self._judge(*one, done, doubt), done)
            self._keep(*one, kept[one], done, seconds)
        return [kept[one] for one in wanted]

    def has_proved(self, wanted: Sequence[Wanted]) -> bool:
        """Tells if ``prove`` has nothing to run: there is a verdict on each that still holds."""
        return all(self._kept(*one) is not None for one in _with_exact(wanted))

    def prove(self, wanted: Sequence[Wanted]) -> list[Verdict]:
        """The verdict on each that speeds rest on: in its precision and in float64.

        What is wrong by a little, such as an epsilon, hides among float32's rounding errors.
        """
        every = _with_exact(wanted)
        verdicts = dict(zip(every, self.verify(every), strict=True))
        return [
            verdicts[choice, precision]
            if precision == EXACT
            else joined(verdicts[choice, precision], verdicts[choice, EXACT])
            for choice, precision in wanted
        ]

    def _jobs(self, choice: backends.Choice, precision: Precision) -> list[Job]:
        """The parts of a verdict, the oracle's trace first.

        The oracle needs no other trace of itself, but central differences; dropout its statistics.
        """
        oracle = self._oracle_job()
        steps = self.task.envelopes[precision].steps
        own = Job("trace", choice, precision, self._device, (steps,))
        jobs = [oracle]
        if replace(own, ends=oracle.ends) != oracle:
            jobs.append(own)
        if choice[0] == self._oracle_choice[0]:
            jobs.append(Job("gradient_check", choice, "float64", "cpu"))
        if self._drops_out:
            jobs.append(Job("dropout", choice, precision, self._device))
        return jobs

    @cached_property
    def _drops_out(self) -> bool:
        chunks = self.task.verification_chunks(self.task.verification_seed)
        return bool(self.task.dropouts(next(chunks)))

    def _oracle_job(self) -> Job:
        """The oracle's trace, long enough for every precision."""
        steps = (envelope.steps for envelope in self.task.envelopes.values())
        ends = {anchors.STEPS, *steps}
        return Job("trace", self._oracle_choice, "float64", "cpu", tuple(sorted(ends)))

    def _run(self, jobs: Sequence[Job]) -> dict[Job, tuple[Tree, Ending]]:
        return self._workers.run(jobs)

    def _watch(self, choice: backends.Choice, **details: Any) -> tuple[Tree, Ending]:
        device = "cpu" if choice == self._oracle_choice else self._device
        return self._workers.watch(choice, device, **details)

    def _explained(self, verdict: Verdict, done: Mapping[Job, tuple[Tree, Ending]]) -> Verdict:
        """The verdict with the cause, if it failed and causes are looked for."""
        if not self._explainer or verdict.verified or verdict.outcome is not Outcome.OK:
            return verdict
        choice = verdict.backend, verdict.mode
        jobs = [job for job in self._jobs(choice, verdict.precision) if job.kind == "trace"]
        oracle, own = done[jobs[0]][0], done[jobs[-1]][0]
        return replace(verdict, cause=self._explainer.cause(verdict, own, oracle))

    def _judge(
        self,
        choice: backends.Choice,
        precision: Precision,
        done: Mapping[Job, tuple[Tree, Ending]],
        doubt: str | None,
    ) -> Verdict:
        allowed = self.task.envelopes[precision]
        jobs = self._jobs(choice, precision)
        endings = [done[job][1] for job in jobs]
        ending = next((e for e in endings if e.outcome is not Outcome.OK), endings[0])
        findings: list[Deviation] = []
        left_out: tuple[str, ...] = ()
        if ending.outcome is Outcome.OK:
            oracle, *trees = (done[job][0] for job in jobs)
            findings += _by_itself(oracle, self._oracle_choice[0], self.task.envelopes[EXACT])
            for job, tree in zip(jobs[1:], trees, strict=True):
                findings += self._findings(job, tree, oracle)
            traces = [t for j, t in zip(jobs, (oracle, *trees), strict=True) if j.kind == "trace"]
            left_out = uncompared(traces[-1], oracle)
            anchored = anchors.compare(self.task, oracle)
            if choice[0] == self._oracle_choice[0]:
                findings += anchored
            elif not doubt:  # who agrees with a wrong oracle is as wrong
                doubt = next((f"the oracle is wrong: {f}" for f in anchored if not f.passed), None)
            if doubt:
                findings.append(Deviation("oracle", None, 0.0, doubt, False))
        return Verdict(
            task=self.task.label,
            backend=choice[0],
            precision=precision,
            steps=allowed.steps,
            findings=tuple(replace(finding, precision=precision) for finding in findings),
            outcome=ending.outcome,
            reason=ending.reason,
            mode=choice[1],
            device=self._device,
            oracle=self._oracle_choice[0],
            uncompared=left_out,
        )

    def _findings(self, job: Job, tree: Tree, oracle: Tree) -> Sequence[Deviation]:
        """The findings on what one worker has written."""
        match job.kind:
            case "trace":
                allowed = self.task.envelopes[job.precision]
                own = _by_itself(tree, job.choice[0], allowed)
                return (*own, *compare(tree, oracle, allowed))
            case "dropout":
                return (dropout_finding(tree),)
            case _:
                by_leaf = {leaf: float(error) for leaf, error in tree.items()}
                return (worst_leaf("central differences", by_leaf, CENTRAL_DIFFERENCES),)

    def _doubt(self, done: Mapping[Job, tuple[Tree, Ending]]) -> str | None:
        """Why the oracle itself is in doubt: all others agree with each other and not with it."""
        oracle, allowed = self._oracle_job(), self.task.envelopes[EXACT]
        others = {
            job.choice[0]: tree
            for job, (tree, ending) in done.items()
            if job.kind == "trace"
            and job.precision == EXACT
            and job.choice[0] != oracle.choice[0]
            and ending.outcome is Outcome.OK
        }
        reference, *rest = others.values() if len(others) > 1 else ({},)
        if not rest or oracle not in done:
            return None
        agree = all(_agree(tree, reference, allowed) for tree in rest)
        if not agree or any(_agree(tree, done[oracle][0], allowed) for tree in others.values()):
            return None
        names, other = ", ".join(others), oracle.choice[0]
        return f"{names} agree with each other and not with {other}: look there first"

    def _kept(self, choice: backends.Choice, precision: Precision) -> Verdict | None:
        """From the cache; None if nothing is there, or nothing that can be read."""
        path = None if self._fresh else self._cache_path(choice, precision)
        return verdict_cache.read(path) if path else None

    def _keep(
        self,
        choice: backends.Choice,
        precision: Precision,
        verdict: Verdict,
        done: Mapping[Job, tuple[Tree, Ending]],
        seconds: float,
    ) -> None:
        path = self._cache_path(choice, precision)
        if path and verdict.verified:
            traces = [done[job][0] for job in self._jobs(choice, precision) if job.kind == "trace"]
            files = {file: known for t in traces for file, known in imported.read(t).items()}
            verdict_cache.write(path, verdict, files, seconds)

    def _cache_path(self, choice: backends.Choice, precision: Precision) -> Path | None:
        if self._cache_folder is None:
            return None
        facts = {
            "cell": asdict(self._workers.cell(choice, precision, self._device)),
            "data": self.task.provenance.digest,
            "sources": sources_digest(self._side.tree, choice[0], self._oracle_choice[0]),
            "task": dict(tasks.sources(self.task.name)),
            "backends": [dict(backends.package(c[0])) for c in (choice, self._oracle_choice)],
            "packages": dict(self._side.packages),
            # as machines are told apart, so that nodes of one kind can share a verdict
            "machine": facts_of(machine()),
            "system": [machine()["system"], machine()["python"]],
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
        return self._cache_folder / f"{key}.json"


def _with_exact(wanted: Sequence[Wanted]) -> list[Wanted]:
    return list(dict.fromkeys((*wanted, *((choice, EXACT) for choice, _ in wanted))))


def oracle(task: str) -> backends.Choice:
    """The backend that all others are held against. RequestError if it is not there."""
    choice = backends.oracle(task)
    if reason := backends.unavailable(*choice, task):
        raise RequestError(f"{outside.shown(task)} is compared with {choice[0]}, and {reason}")
    return choice


def _by_itself(trace: Tree, backend: str, envelope: Envelope) -> Sequence[Deviation]:
    """The findings on a trace that need no other: they are there only where it fails."""
    return (
        *unsteady(trace, backend, envelope),
        *unfrozen(trace, backend),
        *unrestored(trace, backend, envelope),
    )


def _agree(own: Tree, other: Tree, allowed: Envelope) -> bool:
    return all(deviation.passed for deviation in compare(own, other, allowed))
