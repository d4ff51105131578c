"""Devices as backends see them: found by asking a worker."""

from __future__ import annotations

import functools
from typing import Any

import backends
from suite.records.cell import Cell
from suite.records.events import Described, Event, Outcome
from suite.session.process import Ending, launch
from suite.system import devices
from suite.system.devices import AUTO, CPU, CUDA


def chosen(backend: str, asked: str) -> str:
    """Where a backend is to run: as ``asked``; of ``auto``, ``cuda`` if it has that."""
    if asked != AUTO:
        return asked
    return CUDA if _has_cuda(backend) else CPU


@functools.cache
def _has_cuda(backend: str) -> bool:
    return (
        backends.load(backend).available() is None and probe(backend, CUDA)[0].outcome is Outcome.OK
    )


def probe(backend: str, device: str) -> tuple[Ending, dict[str, Any]]:
    """How a worker ended that only set a backend up for a device, and what it then read."""
    seen: dict[str, Any] = {}

    def on_event(event: Event) -> None:
        if isinstance(event, Described):
            seen.update(event.worker)

    if reason := unfit(backend, device):
        return Ending(Outcome.SKIPPED, reason), seen
    mode = backends.load(backend).MODES[0]
    cell = Cell(backend=backend, mode=mode, device=device, data="generated")
    return launch(cell, "describe", on_event), seen


def unfit(backend: str, device: str) -> str | None:
    """None, or that a backend computes on no device of that kind, whatever the machine has."""
    loaded = backends.load(backend)
    if devices.kind(device) in loaded.DEVICES:
        return None
    return f"{loaded.TITLE} computes on {', '.join(loaded.DEVICES)} alone"
