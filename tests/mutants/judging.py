"""Judging mutants: each is planted in a copy of the source, whose verdict must then be another."""

from __future__ import annotations

import json
import math
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np

import backends
import tasks
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.verdict import Verdict, verdict_from
from suite.session import locator
from suite.session.jobs import EXACT, Job, cell_of, read_trace
from suite.session.process import Ending
from suite.session.verification import rival
from suite.session.verifier import Verifier
from suite.system.git import ROOT
from suite.system.revisions import Side
from tasks.task import Precision, Task, Tree
from tests.mutants.fates import RUN, Judgement, Result
from tests.mutants.kept import Kept
from tests.mutants.mutant import Mutant
from tests.mutants.warm import Warm

PACKAGES = ("suite", "backends", "tasks")
SLOWEST_FIRST = ("jax", "tensorflow", "torch", "numpy")
"""Backends, by the time that all their mutants take."""
TIMEOUT = 1800
"""Seconds that a job may take: the machine may be shared."""


Oracles = dict[str, dict[Job, tuple[Tree, Ending]]]
"""By a task's label the oracle's trace, of the source as it is."""


class Proof(Verifier):
    """The verifier, whose jobs warm processes do one after the other."""

    def __init__(self, task: Task, bench: Bench, right: Proof | None = None):
        """``right`` has the trace of the oracle that a mutant of it is taken to be otherwise."""
        side = Side("the source with a mistake", bench.tree)
        super().__init__(task, "cpu", 1, side=side)
        self._bench, self._right = bench, right
        self.place = ""
        """The place of the mistake: when it is named, the rest need not be computed."""

    def _run(self, jobs: Sequence[Job]) -> dict[Job, tuple[Tree, Ending]]:
        done: dict[Job, tuple[Tree, Ending]] = {}
        for job in sorted(jobs, key=lambda job: job.kind != "gradient_check"):
            if self._right and job == self._oracle_job() and self._named(done):
                done[job] = self._right.oracle()
                continue
            own = job == self._oracle_job()
            done[job] = self.oracle() if own else self._ask(job)
        return done

    def known(self, oracle: dict[Job, tuple[Tree, Ending]]) -> None:
        """Takes the oracle's trace from there, or puts it there: several may share it."""
        self._oracle = oracle

    def oracle(self) -> tuple[Tree, Ending]:
        """The oracle's trace, and how its job ended."""
        job = self._oracle_job()
        if job not in self._oracle:
            self._oracle[job] = self._ask(job)
        return self._oracle[job]

    def _named(self, done: Mapping[Job, tuple[Tree, Ending]]) -> bool:
        """Tells if central differences have named the place already."""
        found = [
            str(finding)
            for job, (tree, ending) in done.items()
            if job.kind == "gradient_check" and ending.outcome is Outcome.OK
            for finding in self._findings(job, tree, {})
            if not finding.passed
        ]
        return any(re.search(self.place, message) for message in found)

    def _ask(self, job: Job) -> tuple[Tree, Ending]:
        with tempfile.TemporaryDirectory() as folder:
            output, oracle = Path(folder) / "output.npz", Path(folder) / "oracle.npz"
            stops = bool(self.place and job.kind == "trace" and job != self._oracle_job())
            if stops:
                np.savez(oracle, allow_pickle=False, **self.oracle()[0])
            asked = {
                "kind": job.kind,
                "cell": asdict(self._workers.cell(job.choice, job.precision, job.device)),
                "ends": job.ends,
                "output": str(output),
                "place": self.place if stops else "",
                "oracle": str(oracle),
            }
            return read_trace(output, self._bench.warm(job.choice[0]).ask(asked))


class Bench:
    """A copy of the source in which mutants are planted, one after the other.

    The oracle's traces are made once, from the source as it is, and shared; a mutant of the oracle
    gets its own.
    """

    def __init__(self, tree: Path, precisions: Sequence[Precision], kept: Kept, oracles: Oracles):
        self.tree, self._precisions, self._kept, self._oracles = tree, precisions, kept, oracles
        self._proofs: dict[str, Proof] = {}
        self._warm: dict[str, Warm] = {}

    def warm(self, backend: str) -> Warm:
        """The warm process of a backend, started when it is first asked for."""
        if backend not in self._warm:
            self._warm[backend] = Warm(backend, self.tree, TIMEOUT)
        return self._warm[backend]

    def close(self) -> None:
        """Ends the warm processes."""
        for process in self._warm.values():
            process.close()

    def precisions(self, mutant: Mutant) -> Sequence[str]:
        """Those in which a mutant is judged: of the oracle, all verdicts rest on float64."""
        if mutant.command == "run":
            return [RUN]
        return [EXACT] if mutant.backend == Task.oracle else self._precisions

    def judge(self, mutant: Mutant, precision: str) -> Judgement:
        """Plants the mutant, asks for a verdict, takes it out again."""
        if reason := backends.load(mutant.backend).available():
            return Judgement("not tested", message=reason)
        false_alarm = self._false_alarm(mutant, precision)
        if mutant.backend == Task.oracle and precision != RUN:
            self._proof(mutant.task).oracle()  # as long as nothing is planted in it
        begin = self._seconds()
        with mutant.planted(self.tree):
            verdict = self._verdict(mutant, precision, mutant.place)
            if precision != RUN and not re.search(mutant.place, verdict.explanation or ""):
                verdict = self._located(mutant, verdict)
        judged = judgement(mutant, verdict, false_alarm)
        return replace(judged, seconds=round(self._seconds() - begin, 2))

    def _located(self, mutant: Mutant, verdict: Verdict) -> Verdict:
        """The verdict with the operation in which error begins, as ``tetragrad verify`` adds it."""
        choice, task = (verdict.backend, verdict.mode), self._proof(mutant.task).task
        oracle = backends.oracle(task.name)
        against = rival(oracle, task.name) if choice == oracle else oracle
        steps = locator.wanted([verdict]).get(choice)
        if not steps or not against:
            return verdict
        with tempfile.TemporaryDirectory() as folder:
            own, other = (
                self._observed(cell_of(task, one, EXACT, "cpu"), steps, Path(folder) / one[0])
                for one in (choice, against)
            )
            search = locator.compare(task, own, other, steps)
        return replace(verdict, located=search.of(verdict, None))

    def _observed(self, cell: Cell, steps: Sequence[int], output: Path) -> Path | Ending:
        """The file with the observations of these steps, or how the job failed."""
        file = output.with_suffix(".npz")
        job = {"kind": "observe", "cell": asdict(cell), "steps": steps, "output": str(file)}
        ending = self.warm(cell.backend).ask({**job, "place": ""})
        return file if ending.outcome is Outcome.OK else ending

    def _seconds(self) -> float:
        """Processor seconds until now."""
        return sum(warm.seconds for warm in self._warm.values())

    def _false_alarm(self, mutant: Mutant, precision: str) -> str | None:
        """Why the source as it is, is not verified: then every mutant would be caught."""
        none = Mutant("no mistake", mutant.backend, mutant.task, *("",) * 5, command=mutant.command)
        known = self._kept.get(none, precision)
        if known is None:
            verdict = self._verdict(none, precision, "")
            known = Judgement(
                "missed" if verdict.verified else "broken", (), str(verdict.explanation)
            )
            self._kept.add(none, precision, known)
        return None if known.fate == "missed" else known.message

    def _proof(self, label: str) -> Proof:
        if label not in self._proofs:
            proof = self._proofs[label] = Proof(_task(label), self)
            proof.known(self._oracles.setdefault(label, {}))
        return self._proofs[label]

    def _verdict(self, mutant: Mutant, precision: str, place: str) -> Verdict:
        if precision == RUN:
            return self._verdict_of_run(mutant)
        proof = self._proof(mutant.task)
        if place and mutant.backend == Task.oracle:
            proof = Proof(proof.task, self, right=proof)
        (choice,) = backends.choices(mutant.backend)
        proof.place = place
        (verdict,) = proof.verify([(choice, cast(Precision, precision))])
        return verdict

    def _verdict_of_run(self, mutant: Mutant) -> Verdict:
        """The verdict of ``tetragrad run`` on the backend after it has timed it."""
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [
                    *(sys.executable, "-P", "-m", "suite.cli", "run", "--task", mutant.task),
                    *("--backend", mutant.backend, "--profile", "smoke", "--data", "generated"),
                    *("--timing-limit", "1", "--tracking-uri", "none", "--json"),
                ],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                env={**os.environ, "PYTHONPATH": str(self.tree)},
            )
            if not done.stdout:
                raise RuntimeError(f"`tetragrad run` printed no document: {done.stderr[-2000:]}")
            (cell,) = json.loads(done.stdout)["cells"]
            record = json.loads((Path(folder) / cell["record"]).read_text())
        return verdict_from(record["equivalence"])


def judgement(mutant: Mutant, verdict: Verdict, false_alarm: str | None) -> Judgement:
    """Judges a mutant by a verdict, given why the source without it is not verified, if so."""
    message = verdict.explanation or ""
    if not verdict.tested:
        return Judgement("not tested", message=message)
    if false_alarm:
        return Judgement("broken", message=f"without the mistake too: {false_alarm}")
    if verdict.verified:
        return Judgement("missed")
    named = re.search(mutant.place, message) is not None
    if verdict.outcome is not Outcome.OK:
        refused = mutant.crashes and verdict.outcome is Outcome.CRASHED
        return Judgement("caught" if refused else "broken", (verdict.outcome,), message, named)
    by = tuple(finding.quantity for finding in verdict.findings if not finding.passed)
    return Judgement("caught", by, message, named)


def judge_all(
    mutants: Sequence[Mutant],
    precisions: Sequence[Precision],
    kept: Kept | None = None,
    seconds: float = math.inf,
    jobs: int = 1,
) -> Iterator[Result]:
    """The results one by one, on generated data.

    What is ``kept`` of the same sources is not judged again, and what is judged is kept. After so
    many ``seconds`` no further mutant is begun. As many ``jobs`` at once as there are backends:
    each has the mutants of one, in a copy of the source of its own.
    """
    kept, end, oracles = kept or Kept(None), time.monotonic() + seconds, Oracles()
    by_backend = [[m for m in mutants if m.backend == name] for name in SLOWEST_FIRST]
    shares = [list(mutants)] if jobs == 1 else [share for share in by_backend if share]
    results: queue.SimpleQueue[Result | None] = queue.SimpleQueue()

    def work(share: Sequence[Mutant]) -> None:
        try:
            for result in _judged(share, precisions, kept, end, oracles):
                results.put(result)
        finally:
            results.put(None)

    with ThreadPoolExecutor(jobs) as pool:
        working = [pool.submit(work, share) for share in shares]
        for _ in working:
            yield from iter(results.get, None)
        for share in working:
            share.result()


def _judged(
    mutants: Sequence[Mutant],
    precisions: Sequence[Precision],
    kept: Kept,
    end: float,
    oracles: Oracles,
) -> Iterator[Result]:
    with source_copy() as tree, closing(Bench(tree, precisions, kept, oracles)) as bench:
        for mutant in mutants:
            judgements = {}
            for precision in bench.precisions(mutant):
                judged = kept.get(mutant, precision)
                if judged is None and time.monotonic() < end:
                    judged = bench.judge(mutant, precision)
                    kept.add(mutant, precision, judged)
                if judged:
                    judgements[precision] = judged
            if judgements:
                yield Result(mutant, judgements)


def _task(label: str) -> Task:
    ((name, variant),) = tasks.choices(label)
    return tasks.load(name, "full", "generated", variant)


@contextmanager
def source_copy() -> Iterator[Path]:
    """A copy of the packages, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="tetragrad-mutants-") as folder:
        for package in PACKAGES:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, Path(folder) / package, ignore=ignored)
        yield Path(folder)
