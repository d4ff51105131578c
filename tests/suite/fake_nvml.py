"""A stand-in for ``pynvml``: one card, whose counter moves 5 J with every look at it."""

from __future__ import annotations

import os
from types import ModuleType, SimpleNamespace
from typing import Any


def pynvml() -> ModuleType:
    """The module."""
    module: Any = ModuleType("pynvml")
    millijoules = iter(range(0, 10**9, 5000))

    class NVMLError(Exception):
        pass

    def refused(*given: Any) -> Any:
        raise NVMLError("Not Supported")

    own = SimpleNamespace(pid=os.getpid(), usedGpuMemory=3 * 10**9)
    module.NVMLError = NVMLError
    module.NVML_CLOCK_SM, module.NVML_TEMPERATURE_GPU = 1, 0
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetHandleByIndex = lambda number: f"card {number}"
    module.nvmlDeviceGetHandleByUUID = lambda name: f"card {name}"
    module.nvmlDeviceGetName = lambda handle: f"A {handle}"
    module.nvmlSystemGetDriverVersion = lambda: "580.1"
    module.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(total=144 * 10**9)
    module.nvmlDeviceGetEnforcedPowerLimit = lambda handle: 700_000
    module.nvmlDeviceGetMaxClockInfo = refused
    module.nvmlDeviceGetTotalEnergyConsumption = lambda handle: next(millijoules)
    module.nvmlDeviceGetTemperature = lambda handle, sensor: 61
    module.nvmlDeviceGetClockInfo = lambda handle, clock: 1980
    module.nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: 0x1 | 0x4 | 0x40
    module.nvmlDeviceGetComputeRunningProcesses = lambda handle: [
        SimpleNamespace(pid=1, usedGpuMemory=10**11),
        own,
    ]
    found: ModuleType = module
    return found
