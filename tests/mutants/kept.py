"""Judgements that are kept in a file, so that a run of hours can be stopped and taken up again.

A line of JSON each, under the digest of the mutant and of all sources and packages that its
verdict rests on: what was judged of others is not found again.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import backends
import tasks
from suite.session.verdict_cache import sources_digest
from suite.system.environment import package_versions
from suite.system.git import ROOT
from tests.mutants.fates import RUN, Judgement
from tests.mutants.mutant import Mutant

FILE = ROOT / "results" / "mutants.jsonl"
"""Where they are by default; git ignores it."""
JUDGING = (
    "suite/records/taps.py",
    "suite/session/first_difference.py",
    "suite/session/locator.py",
    "tests/mutants/judging.py",
    "tests/mutants/warm.py",
)
"""Files that a judgement rests on beside those of a verdict."""


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
    """Digest of the sources and versions that a judgement rests on.

    One of ``tetragrad run`` rests on the whole suite.
    """
    assert task in tasks.NAMES
    names = (backend, backends.oracle(task)[0])
    packages = [p for name in names for p in ("numpy", *backends.load(name).PACKAGES)]
    versions = package_versions()
    digest = hashlib.sha256(sources_digest(ROOT, *names).encode())
    digest.update(repr([(p, versions.get(p)) for p in packages]).encode())
    for file in sorted((ROOT / "suite").rglob("*.py")) if precision == RUN else JUDGING:
        digest.update((ROOT / file).read_bytes())
    return digest.hexdigest()
