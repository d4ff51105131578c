"""Readings of a graphics card while a worker trains on it, by NVML (``nvidia-ml-py``)."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from suite.system.readings import readable
from suite.worker.clock import Clock, DeviceClock, Lap

SECONDS = 0.5
"""Between readings of what changes slowly."""
REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""For slower clocks than could be, by their bit; being idle and chosen clocks are none.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html
"""


class Card:
    """One card. What it cannot be asked is None."""

    def __init__(self, visible: str | None) -> None:
        """The first of those that are ``visible``, as CUDA_VISIBLE_DEVICES says.

        ImportError without nvidia-ml-py; whatever NVML raises if there is no driver or card.
        """
        self._nvml: Any = importlib.import_module("pynvml")
        self._nvml.nvmlInit()
        first = (visible or "0").split(",")[0]
        by_number = first.isdecimal()
        nvml = self._nvml
        find = nvml.nvmlDeviceGetHandleByIndex if by_number else nvml.nvmlDeviceGetHandleByUUID
        self._handle = find(int(first) if by_number else first)

    def _asked(self, question: str, *given: Any) -> Any:
        """The answer of a function of NVML's; None too where this release has none of that name."""
        found = readable(lambda: getattr(self._nvml, question)(*given))
        return found.decode(errors="replace") if isinstance(found, bytes) else found

    def facts(self) -> dict[str, Any]:
        """Facts that do not change: name, driver, memory [bytes], power limit [W], clock [MHz]."""
        nvml, handle = self._nvml, self._handle
        memory = self._asked("nvmlDeviceGetMemoryInfo", handle)
        limit = self._asked("nvmlDeviceGetEnforcedPowerLimit", handle)
        clock = self._asked("nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_SM)
        return {
            "name": self._asked("nvmlDeviceGetName", handle),
            "driver": self._asked("nvmlSystemGetDriverVersion"),
            "memory_bytes": memory and memory.total,
            "power_limit_watts": limit and limit / 1000,
            "clock_max_mhz": clock,
        }

    def joules(self) -> float | None:
        """Used since the driver was loaded."""
        millijoules = self._asked("nvmlDeviceGetTotalEnergyConsumption", self._handle)
        return None if millijoules is None else millijoules / 1000

    def readings(self) -> dict[str, Any]:
        """Readings of now: degrees Celsius, clock [MHz], why it is slow, this process's [bytes]."""
        nvml, handle = self._nvml, self._handle
        sensor = nvml.NVML_TEMPERATURE_GPU
        return {
            "celsius": self._asked("nvmlDeviceGetTemperature", handle, sensor),
            "clock_mhz": self._asked("nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM),
            "reasons": self._asked("nvmlDeviceGetCurrentClocksThrottleReasons", handle),
            "process_bytes": self._memory(),
        }

    def _memory(self) -> int | None:
        """None too where the driver knows processes by other numbers, as in some containers."""
        processes = self._asked("nvmlDeviceGetComputeRunningProcesses", self._handle)
        own = (p.usedGpuMemory for p in processes or () if p.pid == os.getpid())
        return next(own, None)


class MeteredClock(Clock):
    """A clock that reads the card before and after every block of training, outside its time."""

    def __init__(self, card: Card, start_device_clock: DeviceClock = lambda: None) -> None:
        super().__init__(start_device_clock)
        self._card, self._read, self._seconds = card, -SECONDS, 0.0
        self._joules: float | None = 0.0
        self._readings: list[dict[str, Any]] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[Lap]:
        if name != "train":
            with super().phase(name) as lap:
                yield lap
            return
        before = self._card.joules()
        with super().phase(name) as lap:
            yield lap
        self._seconds += lap.seconds
        after = self._card.joules()
        if self._joules is None or before is None or after is None:
            self._joules = None  # once unknown, the sum is
        else:
            self._joules += after - before
        if time.monotonic() - self._read > SECONDS:
            self._readings.append(self._card.readings())
            self._read = time.monotonic()

    def measured(self) -> dict[str, Any]:
        """Energy [J], mean power [W], and extremes of the readings, of training here until now.

        In turns on one card, the counter is read around the own turns alone. It moves every few
        hundredths of a second: over many turns that evens out.
        """
        watts = self._joules / self._seconds if self._joules is not None and self._seconds else None
        clocks = [r["clock_mhz"] for r in self._readings if r["clock_mhz"] is not None]
        found: dict[str, list[Any]] = {
            key: [r[key] for r in self._readings if r[key] is not None]
            for key in ("celsius", "reasons", "process_bytes")
        }
        bits = {bit for value in found["reasons"] for bit in REASONS if value & bit}
        return {
            "joules": self._joules,
            "watts": watts,
            "celsius_max": max(found["celsius"], default=None),
            "clock_mhz": [min(clocks), max(clocks)] if clocks else None,
            "slowed_by": [REASONS[bit] for bit in sorted(bits)] if found["reasons"] else None,
            "process_bytes_max": max(found["process_bytes"], default=None),
        }


def clock_for(
    device: str, start_device_clock: DeviceClock = lambda: None
) -> tuple[Clock, dict[str, Any]]:
    """A clock for a worker of that kind of device, and what the ledger says of the card."""
    if device == "cpu":
        return Clock(), {}
    try:
        card = Card(os.environ.get("CUDA_VISIBLE_DEVICES"))
    except Exception as error:  # noqa: BLE001  (NVML's errors, or none of its module: no matter)
        return Clock(start_device_clock), {
            "card": {"not readable": f"{type(error).__name__}: {error}"}
        }
    return MeteredClock(card, start_device_clock), {"card": card.facts()}
