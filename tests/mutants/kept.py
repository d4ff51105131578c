"""Judgements that are kept in a file, so that a run of hours can be stopped and taken up again.

A line of JSON each, under the digest of the mutant and of all sources that its verdict rests on:
what was judged of other sources is not found again.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import backends
import tasks
from suite.session.verifier import sources_digest
from suite.system.git import ROOT
from tests.mutants.fates import RUN, Judgement
from tests.mutants.mutant import Mutant

FILE = ROOT / "results" / "mutants.jsonl"
"""Where they are by default; git ignores it."""


class Kept:
    """The judgements in a file, or in none."""

    def __init__(self, file: Path | None):
        self._file = file
        self._known: dict[str, Judgement] = {}
        if file and file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                document = json.loads(line)
                told = document["judgement"]
                self._known[document["key"]] = Judgement(**{**told, "by": tuple(told["by"])})

    def get(self, mutant: Mutant, precision: str) -> Judgement | None:
        """The judgement of a mutant, if it is there for the sources as they are now."""
        return self._known.get(_key(mutant, precision))

    def add(self, mutant: Mutant, precision: str, judgement: Judgement) -> None:
        """Keeps a judgement, in the file at once. What could not be tested may be another time."""
        if judgement.fate == "not tested":
            return
        key = _key(mutant, precision)
        self._known[key] = judgement
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            line = {"key": key, "mutant": mutant.label, "precision": precision}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**line, "judgement": asdict(judgement)}) + "\n")


def _key(mutant: Mutant, precision: str) -> str:
    facts = {"mutant": asdict(mutant), "precision": precision}
    facts["sources"] = _sources(mutant.backend, mutant.task.partition(":")[0], precision)
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


@functools.cache
def _sources(backend: str, task: str, precision: str) -> str:
    """Digest of the sources of a verdict; one of ``tetragrad run`` rests on the whole suite."""
    assert task in tasks.NAMES
    digest = sources_digest(ROOT, backend, backends.oracle(task)[0])
    if precision == RUN:
        files = sorted((ROOT / "suite").rglob("*.py"))
        digest += hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return digest
