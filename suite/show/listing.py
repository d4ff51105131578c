"""``tetragrad list``: tasks, and backends with their versions, devices and threads."""

from __future__ import annotations

import importlib.metadata
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.markup import escape

import backends
import tasks
from suite.records.events import Outcome
from suite.session import probe
from suite.show.console import table as new_table
from suite.system import devices


def print_listing(console: Console) -> None:
    """Asks every backend in a process of its own."""
    table = new_table("Tasks")
    for column in ("task", "data set", "variants (default first)", "profiles", "from"):
        table.add_column(column, overflow="fold")
    for task in tasks.names():
        variants = ", ".join(v or "-" for v in tasks.variants(task))
        data, profiles = tasks.DATASETS.get(task, "its own"), ", ".join(tasks.PROFILES)
        table.add_row(*map(escape, (task, data, variants, profiles, tasks.origin(task))))
    console.print(table)
    table = new_table("Backends")
    for column in ("backend", "version", "mode", "devices", "not available because", "from"):
        table.add_column(column, overflow="fold")
    with ThreadPoolExecutor() as pool:
        for rows in pool.map(_backend, backends.names()):
            for row in rows:
                table.add_row(*map(escape, row))
    console.print(table)


def _backend(name: str) -> list[tuple[str, ...]]:
    """A row for every mode, the default first."""
    backend = backends.load(name)
    version, devices, missing = _described(name)
    origin = backends.origin(name)
    return [
        (name, version, mode, devices, missing or backend.available(mode) or "", origin)
        for mode in backend.MODES
    ]


def _described(name: str) -> tuple[str, str, str | None]:
    """Version and devices of a backend, and why it has none, or no GPU."""
    backend = backends.load(name)
    if reason := backend.available():
        return "-", "-", reason
    missing = None
    ending, seen = probe.probe(name, devices.CUDA)
    if ending.outcome is not Outcome.OK:
        missing = f"on {devices.CUDA}: {ending.reason}"
        ending, seen = probe.probe(name, devices.CPU)
    if ending.outcome is not Outcome.OK:
        return "-", "-", f"{ending.outcome}: {ending.reason}"
    distribution = importlib.metadata.packages_distributions()[backend.FRAMEWORK][0]
    version = importlib.metadata.version(distribution)
    return version, ", ".join(seen["devices"]), missing
