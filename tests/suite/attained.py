"""Rates of the machine, measured once for all sessions in this process: that takes 3 s."""

from __future__ import annotations

from collections.abc import Callable

from suite.records.cell import Cell
from suite.records.events import Event, Measured, Outcome
from suite.session import process
from suite.session.process import Ending

_Key = tuple[str, str, str]
_heard: dict[_Key, list[Event]] = {}
"""By backend, device and precision, what the worker said that measured."""


def launch(
    cell: Cell, kind: str, on_event: Callable[[Event], None], timeout: float | None
) -> Ending:
    """Stands for ``process.launch`` where a machine is measured. What fails is not kept."""
    assert kind == "machine"
    key, ending = _key(cell), Ending(Outcome.OK, None)
    heard = _heard.get(key, [])
    if not heard:
        ending = process.launch(cell, kind, heard.append, timeout)
    if ending.outcome is Outcome.OK:
        _heard[key] = heard
    for event in heard:
        on_event(event)
    return ending


def plant(backend: str, precision: str, **rates: float) -> None:
    """Rates of a backend on the CPU that are not measured."""
    _heard[backend, "cpu", precision] = [Measured(rates)]


def _key(cell: Cell) -> _Key:
    return cell.backend, cell.device, cell.precision
