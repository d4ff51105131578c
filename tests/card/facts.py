"""Facts of a machine with a card: versions, the card, the rates that its products attain.

``python -m tests.card.facts --device cuda --output FILE`` prints them, and writes them as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import backends
from suite.records.cell import Cell
from suite.records.events import Event, Measured, Outcome
from suite.records.record import write_json
from suite.session.process import launch
from suite.system import devices, environment
from suite.worker import cards
from tasks.task import Precision
from tests.card.steps import PROVED

PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")
TIMEOUT = 60.0
"""Seconds for one rate."""


def main() -> int:
    """Exit code 1 if no product could be timed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    rates = products(given.device)
    document = {
        "python": platform.python_version(),
        "machine": dict(environment.machine()),
        "card": card(given.device),
        "packages": versions(),
        "products": rates,
    }
    write_json(given.output, document)
    print(json.dumps(document, indent=1))
    return 0 if any("operations_per_second" in found for found in rates.values()) else 1


def versions() -> dict[str, str]:
    """Versions of what backends and tasks compute with, as far as it is here."""
    return environment.computing(environment.package_versions())


def card(device: str) -> Mapping[str, Any]:
    """The card's facts by NVML, or why they cannot be read; nothing of the CPU."""
    found: Mapping[str, Any] = cards.clock_for(devices.kind(device))[1].get("card", {})
    return found


def products(device: str) -> dict[str, dict[str, Any]]:
    """Rates of matrix products by precision, of the first backend that is there: or why not."""
    return {precision: _product(device, precision) for precision in PRECISIONS}


def _product(device: str, precision: Precision) -> dict[str, Any]:
    reasons: dict[str, Any] = {}
    for name in PROVED:
        loaded = backends.load(name)
        if reason := loaded.available():
            reasons[name] = reason
            continue
        heard: list[Event] = []
        cell = Cell(
            backend=name,
            mode=loaded.MODES[0],
            device=device,
            precision=precision,
            data="generated",
        )
        ending = launch(cell, "machine", heard.append, TIMEOUT)
        rates = [event.attainable["matmul"] for event in heard if isinstance(event, Measured)]
        if ending.outcome is Outcome.OK and rates:
            return {"backend": name, "operations_per_second": rates[-1]}
        reasons[name] = f"{ending.outcome}: {ending.reason}"
    return {"not measured": reasons}


if __name__ == "__main__":
    sys.exit(main())
