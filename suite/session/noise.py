"""Disturbances of the machine while something was timed on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from suite.records.timing import Contestant

STOLEN, FOREIGN, IDLE, SLOWED = 0.01, 0.05, 0.02, 0.1
"""Shares of one processor's time that may be stolen, used by other programs, or used by a worker
that is to wait; and by how much the frequency may differ between begin and end."""


class Watch:
    """Watches the machine from now on, the work of ``pids`` and this process excepted."""

    def __init__(self, pids: Sequence[int]):
        self._processes = [psutil.Process(), *map(psutil.Process, pids)]
        self._begin, self._before = time.monotonic(), psutil.cpu_times()
        self._own_before = self._own()
        self._frequency = _frequency()

    def warnings(self, contestants: Sequence[Contestant]) -> tuple[str, ...]:
        """Why what was measured until now may be off, each in words with its number."""
        seconds, now = time.monotonic() - self._begin, psutil.cpu_times()
        stolen = (getattr(now, "steal", 0) - getattr(self._before, "steal", 0)) / seconds
        busy = sum(getattr(now, kind) - getattr(self._before, kind) for kind in ("user", "system"))
        foreign = (busy - (self._own() - self._own_before)) / seconds
        found = []
        if stolen > STOLEN:
            found.append(f"{stolen:.0%} of a processor was stolen by other virtual machines")
        if foreign > FOREIGN:
            found.append(f"other programs used {foreign:.0%} of a processor")
        found += [
            f"{c.name} used {c.idle_load:.0%} of a processor while others worked"
            for c in contestants
            if c.idle_load > IDLE
        ]
        frequency = _frequency()
        if frequency and self._frequency and abs(frequency / self._frequency - 1) > SLOWED:
            found.append(
                f"the processor's frequency went from {self._frequency:.0f} to {frequency:.0f} MHz"
            )
        return tuple(found)

    def _own(self) -> float:
        """Processor seconds of what is watched, so far."""
        total = 0.0
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


def _frequency() -> float | None:
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError, AttributeError):  # a container may hide it
        return None
    return float(frequency.current) if frequency else None
