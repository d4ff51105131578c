"""The journal of a session: which steps are done, failed or still open, on disk at every moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from suite.records.record import write_json
from tasks.task import RequestError
from tests.card.steps import Step

SCHEMA_VERSION = 1


class Status(StrEnum):
    """How a step stands."""

    OPEN = "open"
    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    NOT_THERE = "not there"


@dataclass
class Entry:
    """A step in the journal."""

    status: Status = Status.OPEN
    reason: str = ""
    """Why it is not done."""
    tries: int = 0
    seconds: float | None = None
    """How long the last try took."""
    command: list[str] = field(default_factory=list)
    """The words of the last try, behind ``python``."""
    absent: dict[str, str] = field(default_factory=dict)
    """Contestants that were not there, and why."""
    sessions: list[str] = field(default_factory=list)
    """Those of its records and timings."""
    log: str = ""
    """The file of what it printed, in the results folder."""


class Journal:
    """Entries by the names of their steps. Every change is on disk before it is told."""

    def __init__(self, path: Path, about: Mapping[str, Any]):
        """Goes on with the journal at ``path`` if there is one.

        RequestError if that is none, or is not ``about`` the same.
        """
        self.path, self._about = path, dict(about)
        self.entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        if path.exists():
            self.entries = _read(path, self._about)

    def of(self, step: Step) -> Entry:
        """The entry of a step, open if there was none."""
        return self.entries.setdefault(step.name, Entry())

    def note(self, step: Step, **changes: Any) -> None:
        """Changes the entry of a step."""
        with self._lock:
            vars(self.of(step)).update(changes)
            steps = {name: asdict(entry) for name, entry in self.entries.items()}
            document = {"schema_version": SCHEMA_VERSION, "about": self._about, "steps": steps}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, document)

    def todo(self, steps: Sequence[Step]) -> list[Step]:
        """Those that are not done; what failed, or took the machine along, comes last."""
        rest = [step for step in steps if self.of(step).status is not Status.DONE]
        return sorted(rest, key=self._failures)

    def _failures(self, step: Step) -> int:
        entry = self.of(step)
        return entry.tries if entry.status in (Status.FAILED, Status.BEGUN) else 0


def _read(path: Path, about: Mapping[str, Any]) -> dict[str, Entry]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        then = document["about"]
        found = {
            name: Entry(**{**entry, "status": Status(entry["status"])})
            for name, entry in document["steps"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{path} is not a journal ({error}); move it away") from None
    if then != about:
        raise RequestError(
            f"the journal {path} is of {_told(then)}, and now it is {_told(about)}; give another "
            "--results, or the same options"
        )
    return found


def _told(about: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in about.items())
