"""Differences: facts on which speed depends and that are not the same for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.records.record import Record
from suite.system.readings import NOT_READABLE

NONE = "none"

OVER = 1.2
"""More processor seconds per second than this times the threads asked for are too many. A little
more can be: the thread that hands over work runs on while the others begin."""

FEW = 1e-3
"""Fewer denormals than this fraction cannot matter: at 100 cycles each, where other numbers take
about one, they make an update a tenth longer, and updates are a small part of training."""

WorkerFacts = Mapping[str, Any]
"""A record's ``worker``."""


@dataclass(frozen=True)
class Difference:
    """A fact on which speed depends and that is not the same for all: its value by contestant."""

    fact: str
    values: dict[str, str]

    def parts(self, one: str, other: str) -> bool:
        """Tells if the fact is known to differ between the two contestants."""
        return {one, other} <= self.values.keys() and self.values[one] != self.values[other]

    def __str__(self) -> str:
        named: dict[str, list[str]] = {}
        for name, value in self.values.items():
            named.setdefault(value, []).append(name)
        said = (f"{value} ({', '.join(names)})" for value, names in named.items())
        return f"{self.fact}: {'; '.join(said)}"


def differences(found: Sequence[Record]) -> tuple[Difference, ...]:
    """Facts on which speed depends and that differ between the records, by ``backend:mode``.

    A fact that a worker did not give, or that only one framework has, is no difference.
    """
    seen: dict[str, dict[str, dict[str, None]]] = {fact: {} for fact in _COMPARED}
    for record in found:
        name = record.cell.backend_label
        for fact, read in _COMPARED.items():
            if record.worker and (value := read(record.worker, record.cell.threads)) is not None:
                seen[fact].setdefault(name, {})[value] = None
    return tuple(
        Difference(fact, {name: " / ".join(values) for name, values in by_name.items()})
        for fact, by_name in seen.items()
        if len({value for values in by_name.values() for value in values}) > 1
    )


def _threads(worker: WorkerFacts, asked: int) -> str | None:
    """The number that all pools have, or which have another than was asked for."""
    pools: Mapping[str, int | str] = worker.get("threads", {})
    known = {name: count for name, count in pools.items() if count != NOT_READABLE}
    others = [f"{name} {count}" for name, count in known.items() if count != asked]
    return ", ".join(others) or (str(asked) if known else None)


def _cores(worker: WorkerFacts, asked: int) -> str | None:
    cores = worker.get("cores_used")
    if cores is None:
        return None
    return f"{cores:.1f}, {asked} asked for" if cores > OVER * asked else "as asked for"


def _denormals_met(worker: WorkerFacts, asked: int) -> str | None:
    """As long as hardly any comes up, it does not matter what would become of it."""
    if worker.get("denormals") == "kept":
        return "kept, and met in training" if worker.get("denormals_left", 0) > FEW else None
    return worker.get("denormals")


def readings(worker: WorkerFacts) -> dict[str, str]:
    """Facts that the worker read, as texts by name; no threads, devices or numbers that vary."""
    said = {name: words(worker[key]) for name, key in _READ.items() if key in worker}
    if worker.get("denormals_left", 0) > FEW:
        said["denormals"] += ", and met in training"
    return {**{f"precision, {k}": str(v) for k, v in worker.get("precision", {}).items()}, **said}


def _said(name: str) -> Callable[[WorkerFacts, int], str | None]:
    def said(worker: WorkerFacts, asked: int) -> str | None:
        value = worker.get(name)
        return None if value is None else words(value)

    return said


def words(value: Any) -> str:
    """A fact as a text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items()) or NONE
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


_READ = {
    "device": "device",
    "factors of products": "products",
    "denormals": "denormals",
    "CPU affinity": "affinity",
    "CPU quota": "cpu_quota",
    "governor": "governor",
    "boost": "boost",
    "huge pages": "huge_pages",
    "preloaded": "preloaded",
    "compiler": "compiler",
    "environment variables": "environment",
    "interpreter": "interpreter",
}
"""Facts by the names that people read, with those in a record."""

_COMPARED: Mapping[str, Callable[[WorkerFacts, int], str | None]] = {
    **{name: _said(key) for name, key in _READ.items()},
    "allocator": _said("allocator"),
    "threads": _threads,
    "cores used": _cores,
    "denormals": _denormals_met,
}
"""Facts on which speed depends, each with the function that reads it from a worker that was asked
for so many threads."""
