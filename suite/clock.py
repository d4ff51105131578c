"""The clock: seconds by phase, never mixed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PHASES = ("import", "data", "build", "compile", "transfer", "train", "evaluate", "score", "adapt")
"""``import`` begins with the start of Python. ``data`` is reading the data set and gathering chunks
on the host, ``score`` making metrics of outputs, and texts to show; ``adapt`` what a task does
between epochs, such as moving cluster centres."""


@dataclass
class Lap:
    """One timed block: its wall-clock seconds [s], known once the block has ended."""

    seconds: float = 0.0


class Clock:
    """Adds up wall-clock seconds by phase, and processor seconds."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.processor_seconds = dict.fromkeys(PHASES, 0.0)
        """Of all threads of this process, while a phase went on."""

    @contextmanager
    def phase(self, name: str) -> Iterator[Lap]:
        """Counts the block's time to phase ``name``."""
        lap = Lap()
        processor, begin = time.process_time(), time.perf_counter()
        try:
            yield lap
        finally:
            lap.seconds = time.perf_counter() - begin
            self.seconds[name] += lap.seconds
            self.processor_seconds[name] += time.process_time() - processor
