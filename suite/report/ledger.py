"""On what a report rests: the environment, what differs in it between cells, how to do it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import backends
from suite.records import differences
from suite.records.cell import Cell
from suite.records.record import Record
from suite.report import words
from suite.system import environment
from suite.system.readings import NOT_READABLE

ABSENT = "absent"


@dataclass(frozen=True)
class VaryingFact:
    """A fact that is not the same in all cells: every value with the cells that have it."""

    name: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FactByBackend:
    """Values of one fact as workers read them, by backend."""

    name: str
    seen: dict[str, str]
    surprising: tuple[str, ...]
    """The backends in which it is other than asked for or than elsewhere."""


@dataclass(frozen=True)
class UsedData:
    """A data set that was used."""

    name: str
    source: str
    digest: str


@dataclass(frozen=True)
class Ledger:
    """The surroundings of all cells taken together."""

    cells: int
    facts: dict[str, str]
    """Facts that are the same in all cells."""
    differences: tuple[VaryingFact, ...]
    readings: tuple[FactByBackend, ...]
    packages: dict[str, str]
    """All that are the same in all cells, the main ones excepted."""
    commands: tuple[str, ...]
    data: tuple[UsedData, ...]
    commits: tuple[str, ...]
    """With a note where the source was changed since."""


def build(found: Sequence[Record]) -> Ledger:
    """The ledger of the records, at least one."""
    facts, differences = _split(found, [_facts(record) for record in found])
    packages, others = _split(found, [dict(_other_packages(record)) for record in found])
    return Ledger(
        cells=len(found),
        facts=facts,
        differences=differences + others,
        readings=_pools(found) + _further(found),
        packages=packages,
        commands=commands(found),
        data=_data(found),
        commits=_commits(found),
    )


def _facts(record: Record) -> dict[str, str]:
    cell = record.cell
    sizes = {"memory": "memory_bytes", "memory limit": "memory_limit_bytes"}
    machine = {k: v for k, v in record.machine.items() if k not in sizes.values()}
    facts = {
        **{name: getattr(cell, name) for name in ("profile", "device", "precision", "threads")},
        **{name.replace("_", " "): value for name, value in machine.items()},
        **{
            name: f"{size / 1e9:.1f} GB"
            for name, key in sizes.items()
            if (size := record.machine.get(key))
        },
        "commit": record.git.get("commit"),
        "source changed since": {True: "yes", False: "no"}.get(record.git.get("dirty", "")),
        **environment.computing(record.packages),
        **{f"allocator {k}": v for k, v in record.worker.get("allocator", {}).items()},
    }
    return {name: str(value) for name, value in facts.items() if value is not None}


def _other_packages(record: Record) -> Mapping[str, str]:
    main = environment.computing(record.packages)
    return {name: v for name, v in record.packages.items() if name not in main}


def _split(
    found: Sequence[Record], facts: Sequence[Mapping[str, str]]
) -> tuple[dict[str, str], tuple[VaryingFact, ...]]:
    """Splits the facts into those that are equal in all cells and those that are not.

    A missing fact is a value too. Not so for the allocator: workers that never began say nothing
    of it.
    """
    same: dict[str, str] = {}
    different = []
    for name in dict.fromkeys(name for of_cell in facts for name in of_cell):
        cells: dict[str, list[Record]] = {}
        for record, of_cell in zip(found, facts, strict=True):
            if name in of_cell or not name.startswith("allocator"):
                cells.setdefault(of_cell.get(name, ABSENT), []).append(record)
        if len(cells) == 1:
            same[name] = next(iter(cells))
        else:
            values = tuple((value, _cells_words(records)) for value, records in cells.items())
            different.append(VaryingFact(name, values))
    return same, tuple(different)


def _cells_words(records: Sequence[Record]) -> str:
    labels = dict.fromkeys(r.cell.task_label for r in records)
    names = dict.fromkeys(words.name(r.cell.backend, r.cell.mode) for r in records)
    sessions = dict.fromkeys(r.session for r in records)
    return (
        f"{words.count(len(records), 'cell')}: {', '.join(labels)} in {', '.join(names)}, "
        f"session {', '.join(sessions)}"
    )


def _pools(found: Sequence[Record]) -> tuple[FactByBackend, ...]:
    seen: dict[str, dict[str, dict[str, None]]] = {"devices": {}}
    surprising: dict[str, dict[str, None]] = {}
    for record in found:
        name = words.name(record.cell.backend, record.cell.mode)
        if devices := record.worker.get("devices"):
            seen["devices"].setdefault(name, {})[", ".join(map(str, devices))] = None
        for pool, threads in record.worker.get("threads", {}).items():
            seen.setdefault(pool, {}).setdefault(name, {})[str(threads)] = None
            if threads not in (record.cell.threads, NOT_READABLE):
                surprising.setdefault(pool, {})[name] = None
    return tuple(
        FactByBackend(
            name if name == "devices" else f"threads, {name}",
            {backend: " / ".join(values) for backend, values in by_backend.items()},
            tuple(surprising.get(name, {})),
        )
        for name, by_backend in seen.items()
    )


def _further(found: Sequence[Record]) -> tuple[FactByBackend, ...]:
    """Facts that workers read besides devices and pools; marked where cells of a task differ."""
    seen: dict[str, dict[str, dict[str, None]]] = {}
    numbers: dict[str, dict[str, list[float]]] = {}
    for record in found:
        name, worker = words.name(record.cell.backend, record.cell.mode), record.worker
        for fact, text in differences.readings(worker).items():
            seen.setdefault(fact, {}).setdefault(name, {})[text] = None
        if (cores := worker.get("cores_used")) is not None:
            numbers.setdefault("cores used in training", {}).setdefault(name, []).append(cores)
        if isinstance(frequencies := worker.get("frequency_khz"), list):
            own = numbers.setdefault("frequency, MHz", {}).setdefault(name, [])
            own += [khz / 1000 for khz in frequencies]
    differing = {difference.fact for difference in differences.differences(found)}
    return tuple(
        FactByBackend(fact, {b: _range(values) for b, values in by_backend.items()}, ())
        for fact, by_backend in numbers.items()
    ) + tuple(
        FactByBackend(
            fact,
            {backend: " / ".join(texts) for backend, texts in by_backend.items()},
            tuple(by_backend) if fact in differing else (),
        )
        for fact, by_backend in seen.items()
    )


def _range(values: Sequence[float]) -> str:
    low, high = words.ratio(min(values)), words.ratio(max(values))
    return low if low == high else f"{low} to {high}"


def _data(found: Sequence[Record]) -> tuple[UsedData, ...]:
    keys = ("dataset", "source", "digest")
    known = (r.provenance for r in found if r.provenance)
    sets = dict.fromkeys(tuple(str(p.get(key, ABSENT)) for key in keys) for p in known)
    return tuple(UsedData(*one) for one in sets)


def _commits(found: Sequence[Record]) -> tuple[str, ...]:
    def said(git: Mapping[str, Any]) -> str:
        commit = git.get("commit") or "unknown: no repository that could be read tracks it"
        return f"{commit}, changed since" if git.get("dirty") else str(commit)

    return tuple(dict.fromkeys(said(r.git) for r in found))


def commands(found: Sequence[Record]) -> tuple[str, ...]:
    """The fewest ``tetragrad run`` that make these cells: one for each set of equal conditions."""
    wanted: dict[Any, dict[str, set[tuple[str, int]]]] = {}
    asked: dict[Any, str] = {}
    for record in found:
        cell = record.cell
        surroundings = cell.shared.without("backend", "mode", "task", "variant")
        key = (record.session, surroundings.key)
        asked[key] = surroundings.arguments()
        cells = wanted.setdefault(key, {})
        cells.setdefault(cell.task_label, set()).add((_asked(cell), cell.seed))
    lines: dict[str, None] = {}
    for key, by_task in wanted.items():
        together: dict[frozenset[tuple[str, int]], list[str]] = {}
        for label, pairs in by_task.items():
            together.setdefault(frozenset(pairs), []).append(label)
        for shared, labels in together.items():
            lines |= dict.fromkeys(_lines(labels, shared, asked[key]))
    return tuple(lines)


def _lines(labels: Sequence[str], pairs: frozenset[tuple[str, int]], arguments: str) -> list[str]:
    """Commands for (backend, seed) pairs: backends that have the same seeds go together."""
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for name in sorted({backend for backend, _ in pairs}, key=_place):
        seeds = tuple(sorted(seed for backend, seed in pairs if backend == name))
        by_seeds.setdefault(seeds, []).append(name)
    asked = " ".join(f"--task {shlex.quote(label)}" for label in labels)

    def chosen(names: Sequence[str]) -> str:
        everyone = tuple(names) == backends.names()
        return "" if everyone else "".join(f"--backend {name} " for name in names)

    return [
        f"tetragrad run {asked} {chosen(names)}"
        f"--first-seed {first} --seeds {last - first + 1} {arguments}"
        for seeds, names in by_seeds.items()
        for first, last in words.runs(seeds)
    ]


def _asked(cell: Cell) -> str:
    """The value of ``--backend`` that asks for a cell's backend and mode."""
    default = words.order(cell.backend, cell.mode) == 0
    return cell.backend if default else cell.backend_label


def _place(asked: str) -> tuple[int, int]:
    name, _, mode = asked.partition(":")
    known = backends.names()
    return known.index(name) if name in known else len(known), words.order(name, mode)
