"""Devices: what may be asked for, which one a backend gets, which one a program really used."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import backends
from suite.launch import Ending, Event, launch
from suite.records import Cell
from tasks.task import RequestError

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
KNOWN = "cpu, cuda, cuda:N or auto"


class WrongDevice(Exception):
    """A program computed elsewhere than where it was asked to."""


def parse(text: str) -> str:
    """A device as it is asked for; RequestError for what is none."""
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?|auto", text):
        raise RequestError(f"there is no device {text!r}; give {KNOWN}")
    return text


def kind(device: str) -> str:
    """``cpu`` or ``cuda``: all that a worker needs to know, which sees no card but its own."""
    return device.partition(":")[0]


def chosen(backend: str, asked: str) -> str:
    """Where a backend is to run: as ``asked``; of ``auto``, ``cuda`` if it has that."""
    if asked != AUTO:
        return asked
    return CUDA if _has_cuda(backend) else CPU


@functools.cache
def _has_cuda(backend: str) -> bool:
    return backends.load(backend).available() is None and probe(backend, CUDA)[0].outcome == "ok"


def probe(backend: str, device: str) -> tuple[Ending, dict[str, Any]]:
    """How a worker ended that only set a backend up for a device, and what it then read."""
    seen: dict[str, Any] = {}

    def on_event(event: Event) -> None:
        seen.update(event.get("worker", {}))

    loaded = backends.load(backend)
    if kind(device) not in loaded.DEVICES:
        there = ", ".join(loaded.DEVICES)
        return Ending("skipped", f"{loaded.TITLE} computes on {there} alone"), seen
    cell = Cell("", None, backend, loaded.MODES[0], device, "float32", 0, "", "generated", 1)
    return launch(cell, "describe", on_event), seen


def used(asked: str, found: str) -> str:
    """The device that a program used, ``cpu`` or ``cuda:N``, from where its arrays were ``found``.

    Raises WrongDevice if it is not the one that was ``asked`` for. A worker that is asked for
    ``cuda:2`` sees that card alone and calls it ``cuda:0``.
    """
    if kind(found) != kind(asked):
        raise WrongDevice(f"asked for {asked}, but what was trained lies on {found}")
    return asked if ":" in asked else found


def where(cells: Iterable[Cell]) -> str:
    """The device of ``cells``; where they differ, each with its backends: ``cpu (numpy:eager)``."""
    found: dict[str, dict[str, None]] = {}
    for cell in cells:
        found.setdefault(cell.device, {})[cell.backend_label] = None
    if len(found) == 1:
        return next(iter(found))
    return ", ".join(f"{device} ({', '.join(names)})" for device, names in found.items())


def computed(device: str, precision: str) -> str:
    """Where and how a table's figures came about: the precision too, if it is not float32."""
    return device if precision == "float32" else f"{device} · {precision}"
