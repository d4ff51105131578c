"""Plants mistakes and says whether the operation that each is in is named.

As ``tetragrad verify`` names it: by single steps, and where these agree by the verdict in float64.
Mistakes in random numbers alone are left out, no step shows them; so are those of ``run``.
Exit code 0 if at least 95% are named, 1 if not, 2 if nothing is chosen.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import backends
import tasks
from suite.records.events import Outcome
from suite.session import locator
from suite.session.jobs import EXACT, cell_of
from suite.session.process import Ending
from suite.session.verifier import Verifier, Wanted
from suite.system.revisions import Side
from tasks.task import Task
from tests.locate.expected import operation
from tests.mutants.judging import source_copy
from tests.mutants.mutant import Mutant
from tests.mutants.table import TABLE

NAMED = 0.95


@dataclass(frozen=True)
class Result:
    """The text that ``verify`` has for a mistake, and whether it names its operation."""

    mutant: Mutant
    text: str

    @property
    def named(self) -> bool:
        return re.search(operation(self.mutant) or "", self.text) is not None

    def __str__(self) -> str:
        mark = "named" if self.named else "NOT NAMED"
        return f"{mark:9} {self.mutant.label}: {self.text}"


class Bench:
    """A copy of the source, and what the source as it is computes in single steps."""

    def __init__(self, task: Task, tree: Path, folder: Path, reference: backends.Choice):
        self._task, self._tree, self._folder = task, tree, folder
        self._against = reference
        self._known: dict[tuple[backends.Choice, tuple[int, ...]], Path | Ending] = {}

    def locate(self, mutant: Mutant) -> Result:
        """Plants a mutant, looks for it, and takes it out again."""
        (choice,) = backends.choices(mutant.backend)
        against = self._against if choice == backends.oracle(self._task.name) else None
        oracle = against or backends.oracle(self._task.name)
        self._reference(oracle, locator.STEPS)
        with mutant.planted(self._tree):
            search = self._search(choice, oracle, locator.STEPS)
            if search.located or not search.rows:
                return Result(mutant, search.text)
            side = Side("the source with a mistake", self._tree)
            wanted: list[Wanted] = [(choice, EXACT), (choice, "float32")]
            exact, single = Verifier(self._task, "cpu", 1, side=side).verify(wanted)
        verdict = single if exact.verified else exact
        if verdict.outcome is not Outcome.OK or verdict.verified:
            return Result(mutant, f"{verdict.outcome}: {verdict.reason}; {search.text}")
        steps = locator.wanted([verdict]).get(choice, locator.STEPS)
        if steps != locator.STEPS:
            self._reference(oracle, steps)
            with mutant.planted(self._tree):
                search = self._search(choice, oracle, steps)
        return Result(mutant, search.of(verdict, exact))

    def _reference(self, choice: backends.Choice, steps: tuple[int, ...]) -> None:
        if (choice, steps) not in self._known:
            self._known[choice, steps] = self._observe(choice, steps, f"right{len(self._known)}")

    def _search(
        self, choice: backends.Choice, oracle: backends.Choice, steps: tuple[int, ...]
    ) -> locator.Search:
        own = self._observe(choice, steps, "wrong")
        return locator.compare(self._task, own, self._known[oracle, steps], steps)

    def _observe(self, choice: backends.Choice, steps: tuple[int, ...], name: str) -> Path | Ending:
        side, folder = Side("a copy of the source", self._tree), self._folder / name
        folder.mkdir(exist_ok=True)
        asked = {choice: (cell_of(self._task, choice, EXACT, "cpu"), steps)}
        return locator.observe(asked, folder, side)[choice]


def locate_all(mutants: Sequence[Mutant], reference: str) -> Iterator[Result]:
    """The results one by one, task by task, on generated data."""
    (against,) = backends.choices(reference)
    for label in dict.fromkeys(mutant.task for mutant in mutants):
        ((name, variant),) = tasks.choices(label)
        task = tasks.load(name, "full", "generated", variant)
        with source_copy() as tree, tempfile.TemporaryDirectory() as folder:
            bench = Bench(task, tree, Path(folder), against)
            yield from (bench.locate(mutant) for mutant in mutants if mutant.task == label)


def main() -> int:
    """Looks for what the command line chooses; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.locate", description=__doc__)
    add = parser.add_argument
    add("--task", action="append", help="task or task:variant; repeatable")
    add("--backend", action="append", choices=backends.NAMES, help="repeatable")
    add("--name", type=re.compile, help="a regular expression of the mistake's name")
    add("--reference", default="torch", help="what NumPy's mutants are held against")
    asked = parser.parse_args()
    chosen = [
        mutant
        for mutant in TABLE
        if (not asked.task or {mutant.task, mutant.task.partition(":")[0]} & {*asked.task})
        and (not asked.backend or mutant.backend in asked.backend)
        and (not asked.name or asked.name.search(mutant.name))
        and mutant.command == "verify"
        and operation(mutant) is not None
        and backends.load(mutant.backend).available() is None
    ]
    if not chosen:
        print("no mutant is chosen")
        return 2
    results = []
    for result in locate_all(chosen, asked.reference):
        results.append(result)
        print(result, flush=True)
    named = sum(result.named for result in results)
    print(f"{named} of {len(results)} named")
    return 0 if named >= NAMED * len(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
