"""The clock: seconds by phase, never mixed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PHASES = ("import", "data", "build", "compile", "transfer", "train", "evaluate", "score", "adapt")
"""``import`` begins with the start of Python. ``data`` is reading the data set and gathering chunks
on the host, ``score`` making metrics of outputs, and texts to show; ``adapt`` what a task does
between epochs, such as moving cluster centres."""


DeviceClock = Callable[[], Callable[[], float] | None]
"""Starts the device's own clock, see ``Backend.start_device_clock``."""
MORE, MORE_A_LAP = 1.05, 1e-4
"""Limits of the device's clock: a factor of the wall clock's time, and seconds for each lap, since
its events lie just outside each lap."""


class NotWaitedFor(Exception):
    """A device was still at work when the wall clock was stopped."""


@dataclass
class Lap:
    """One timed block: its wall-clock seconds [s], known once the block has ended."""

    seconds: float = 0.0


class Clock:
    """Adds up wall-clock seconds by phase, and processor seconds.

    Beside "train" runs the device's clock, if it has one: a call that returns before its work is
    done would seem fast. Raises NotWaitedFor if that clock has seen more than the wall clock.
    """

    def __init__(self, start_device_clock: DeviceClock = lambda: None) -> None:
        self._start_device_clock = start_device_clock
        self._laps, self._device = 0, (0.0, 0.0)
        """How often both clocks went, and the seconds of the device's and of the wall clock."""
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.processor_seconds = dict.fromkeys(PHASES, 0.0)
        """Processor seconds of all threads of this process, by phase."""

    @contextmanager
    def phase(self, name: str) -> Iterator[Lap]:
        """Counts the block's time to phase ``name``."""
        lap = Lap()
        stop = self._start_device_clock() if name == "train" else None
        processor, begin = time.process_time(), time.perf_counter()
        try:
            yield lap
        finally:
            lap.seconds = time.perf_counter() - begin
            self.seconds[name] += lap.seconds
            self.processor_seconds[name] += time.process_time() - processor
        if stop:
            self._cross_check(stop(), lap.seconds)

    @property
    def device_share(self) -> float | None:
        """The device's seconds of "train" by the wall clock's; None where there is one clock."""
        if not self._device[1]:
            return None
        return self._device[0] / self._device[1]

    def _cross_check(self, device: float, wall: float) -> None:
        self._device = self._device[0] + device, self._device[1] + wall
        self._laps += 1
        device, wall = self._device
        if device > MORE * wall + MORE_A_LAP * self._laps:
            raise NotWaitedFor(
                f"the device worked for {device:.4g} s of training, of which the clock saw "
                f"{wall:.4g}: the program does not wait for its results"
            )
