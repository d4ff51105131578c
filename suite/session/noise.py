"""Disturbances of the machine while something was timed on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from suite.records.timing import Contestant
from suite.system import cgroups
from suite.system.readings import readable

STOLEN, FOREIGN, IDLE, SLOWED = 0.01, 0.05, 0.02, 0.1
"""Shares of one processor's time that may be stolen, used by other programs, or used by a worker
that is to wait; and by how much the frequency may differ between begin and end."""


class Watch:
    """Watches the machine from now on, the work of ``pids`` and this process excepted."""

    def __init__(self, pids: Sequence[int | None], system: Path = cgroups.SYSTEM):
        known = [pid for pid in pids if pid is not None]  # None: a worker that was not started
        processes = (readable(partial(psutil.Process, pid)) for pid in (None, *known))
        self._processes = [process for process in processes if process]
        self._system = system
        self._begin, self._before = time.monotonic(), _times(psutil)
        self._own_before = self._own()
        self._frequency = _frequency()
        self._throttled = cgroups.throttling(system)

    def warnings(self, contestants: Sequence[Contestant]) -> tuple[str, ...]:
        """Why what was measured until now may be off, each in words with its number."""
        found = self._others()
        throttled = cgroups.throttling(self._system).since(self._throttled)
        if throttled.times > 0:
            # Linux 6.18 was seen to count the times alone
            seconds = f", for {throttled.seconds:.2g} s in all" if throttled.seconds > 0 else ""
            times = f"{throttled.times} time{'s' * (throttled.times > 1)}"
            found.append(f"a CPU quota stopped the work {times}{seconds}")
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

    def _others(self) -> list[str]:
        """Names what other machines and programs took."""
        seconds, before, now = time.monotonic() - self._begin, self._before, _times(psutil)
        if before is None or now is None:
            return ["what other programs did could not be read"]
        stolen = (getattr(now, "steal", 0) - getattr(before, "steal", 0)) / seconds
        busy = sum(getattr(now, kind) - getattr(before, kind) for kind in ("user", "system"))
        foreign = (busy - (self._own() - self._own_before)) / seconds
        found = []
        if stolen > STOLEN:
            found.append(f"{stolen:.0%} of a processor was stolen by other virtual machines")
        if foreign > FOREIGN:
            found.append(f"other programs used {foreign:.0%} of a processor")
        return found

    def _own(self) -> float:
        """Processor seconds of what is watched, so far, and of all that it has started and ended.

        A worker that has ended counts among what this process has started.
        """
        total = 0.0
        for process in self._processes:
            if times := _times(process):
                total += times.user + times.system + times.children_user + times.children_system
        return total


def _times(counted: Any) -> Any:
    """The processor times of a process or of the machine; None if they cannot be read."""
    return readable(counted.cpu_times)


def _frequency() -> float | None:
    """The processor's frequency [MHz]; None where it is hidden, as in containers."""
    return readable(lambda: float(psutil.cpu_freq().current))
