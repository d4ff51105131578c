"""Mutants: planted mistakes, each a change of one file of one backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Literal

Command = Literal["verify", "run"]
"""Whose verdict it is that has to find a mistake."""


@dataclass(frozen=True)
class Mutant:
    """One mistake in one backend."""

    name: str
    """The mistake; the same in every backend that it is planted in."""
    backend: str
    task: str
    """The task that it is looked for with: ``task`` or ``task:variant``."""
    file: str
    """Below the source root."""
    right: str
    wrong: str
    """Stands for ``right``."""
    place: str
    """A regular expression of the leaf, output, step or layer that a good message names."""
    why: str
    """Where it comes from: whose default or habit it is."""
    count: int = 1
    """How often ``right`` stands in the file, every time to be replaced."""
    command: Command = "verify"
    crashes: bool = False
    """True if the framework itself refuses it. Any other mutant that crashes proves nothing."""

    @property
    def label(self) -> str:
        """The mistake, where it is, and what it is looked for with."""
        return f"{self.name} [{self.backend}, {self.task}]"

    def changed(self, source: str) -> str:
        """The file's text with the mistake in it. ValueError if ``right`` is not there."""
        found = source.count(self.right)
        if found != self.count:
            raise ValueError(
                f"{self.label}: {self.file} has {self.right!r} {found} times, not {self.count}; "
                "let the table follow the code"
            )
        return source.replace(self.right, self.wrong)

    @contextmanager
    def planted(self, tree: Path) -> Iterator[None]:
        """The mistake stands in the source tree ``tree`` as long as the block lasts."""
        target = tree / self.file
        source = target.read_text()
        _write(target, self.changed(source))
        try:
            yield
        finally:
            _write(target, source)


def _write(target: Path, source: str) -> None:
    """Without what was compiled of the file before: a change within a second may go unnoticed."""
    target.write_text(source)
    Path(cache_from_source(str(target))).unlink(missing_ok=True)


@dataclass(frozen=True)
class Plant:
    """Where a mistake is in one backend: a file of its folder, the right text and the wrong one."""

    backend: str
    file: str
    right: str
    wrong: str
    count: int = 1
    crashes: bool = False


def mistake(
    name: str, task: str, place: str, why: str, *plants: Plant, command: Command = "verify"
) -> tuple[Mutant, ...]:
    """The mutants of a mistake, one for every plant."""
    return tuple(
        Mutant(
            name=name,
            backend=plant.backend,
            task=task,
            file=f"backends/{plant.backend}/{plant.file}",
            right=plant.right,
            wrong=plant.wrong,
            place=place,
            why=why,
            count=plant.count,
            command=command,
            crashes=plant.crashes,
        )
        for plant in plants
    )
