"""``tetragrad list``: tasks, and backends with their versions and devices, or why there is none."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

import backends
import tasks
from backends.program import Backend
from suite.records.events import Outcome
from suite.session import probe
from suite.show.console import print_fitted, table as new_table
from suite.system import devices


@dataclass(frozen=True)
class Mode:
    """A backend in one of its modes, as it is here."""

    backend: str
    mode: str
    version: str | None
    """The framework's; None if that is not installed."""
    devices: tuple[str, ...]
    """Those that it computes on, as the framework calls them."""
    reason: str | None
    """The reason why it cannot be used; None if it can."""
    no_cuda: str | None
    """The reason why it has no card; None if it has one."""
    origin: str
    """The package that it comes from."""


def every_mode() -> list[Mode]:
    """Every backend's modes: each backend is asked in a process of its own, side by side."""
    names = backends.names()
    with ThreadPoolExecutor(len(names)) as pool:
        return [mode for modes in pool.map(backend, names) for mode in modes]


def backend(name: str) -> list[Mode]:
    """A backend's modes, the default first."""
    loaded = backends.load(name)
    version, origin = _version(loaded), backends.origin(name)
    if reason := loaded.available():
        return [Mode(name, mode, version, (), reason, None, origin) for mode in loaded.MODES]
    seen, reason, no_cuda = _probed(name)
    found = []
    for mode in loaded.MODES:
        only = getattr(loaded, "ONLY_ON", {}).get(mode)  # packages of before do not have it
        own = tuple(device for device in seen if only in (None, devices.kind(device)))
        why = reason or loaded.available(mode) or (None if own else f"{only} alone: {no_cuda}")
        found.append(Mode(name, mode, version, () if why else own, why, no_cuda, origin))
    return found


def _probed(name: str) -> tuple[list[str], str | None, str | None]:
    """A backend's devices; why it cannot be set up; why it has no card.

    Each answer takes a process that imports the framework: none is started for a card where this
    machine has none, and none for the processor where the card's has shown both.
    """
    no_cuda = probe.unfit(name, devices.CUDA) or devices.no_card()
    if not no_cuda:
        ending, seen = probe.probe(name, devices.CUDA)
        if ending.outcome is Outcome.OK:
            return seen["devices"], None, None
        no_cuda = ending.reason
    ending, seen = probe.probe(name, devices.CPU)
    if ending.outcome is not Outcome.OK:
        return [], f"{ending.outcome}: {ending.reason}", no_cuda
    return seen["devices"], None, no_cuda


def _version(loaded: Backend) -> str | None:
    """The framework's, under whichever of its names it is installed."""
    for package in (*loaded.PACKAGES, loaded.FRAMEWORK):
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(package)
    return None


def document() -> dict[str, Any]:
    """The document that ``list --json`` prints."""
    return {
        "tasks": [
            {
                "task": task,
                "data_set": tasks.DATASETS.get(task),
                "variants": list(tasks.variants(task)),
                "profiles": list(tasks.PROFILES),
                "origin": tasks.origin(task),
            }
            for task in tasks.names()
        ],
        "backends": [asdict(mode) | {"available": not mode.reason} for mode in every_mode()],
    }


def print_listing(console: Console) -> None:
    """Two tables, and below them why something is not there."""
    table = new_table("Tasks")
    for column in ("task", "data set", "variants (default first)", "profiles", "from"):
        table.add_column(column)
    for task in tasks.names():
        variants = ", ".join(v or "-" for v in tasks.variants(task))
        data, profiles = tasks.DATASETS.get(task, "its own"), ", ".join(tasks.PROFILES)
        table.add_row(*map(escape, (task, data, variants, profiles, tasks.origin(task))))
    print_fitted(table, console)
    table = new_table("Backends")
    for column in ("backend", "version", "mode", "devices", "available", "from"):
        table.add_column(column)
    modes = every_mode()
    for mode in modes:
        own, there = ", ".join(mode.devices) or "-", "no" if mode.reason else "yes"
        cells = (mode.backend, mode.version or "-", mode.mode, own, there, mode.origin)
        table.add_row(*map(escape, cells))
    print_fitted(table, console)
    for line in _reasons(modes):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _reasons(modes: Sequence[Mode]) -> list[str]:
    """The reasons why modes are not available, and why others have no card, each once."""
    said = [f"{mode.backend}:{mode.mode} is not available: {mode.reason}" for mode in modes]
    missing = [line for line, mode in zip(said, modes, strict=True) if mode.reason]
    there: dict[str, list[str]] = {}
    for mode in modes:
        if mode.no_cuda and not mode.reason:
            there.setdefault(mode.no_cuda, []).append(mode.backend)
    without = [f"no cuda for {', '.join(dict.fromkeys(b))}: {why}" for why, b in there.items()]
    return [*missing, *without]
