"""tinygrad: lazy tensors, its own autograd, one TinyJit for each part of a step.

On x86-64 it compiles for the CPU itself, in Python: it needs no compiler, and its version alone
decides what is computed. Elsewhere it needs clang.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from backends.program import Unavailable
from tasks.task import Array, Precision

TITLE = "tinygrad"
FRAMEWORK = "tinygrad"
PACKAGES = ("tinygrad", "tetragrad-tinygrad")
DEVICES = ("cpu",)
ONLY_ON: Mapping[str, str] = {}
MODES = ("jit",)
COMPILER = "X86" if platform.machine().lower() in ("x86_64", "amd64") else "CLANG"


def available(mode: str = MODES[0]) -> str | None:
    if importlib.util.find_spec(FRAMEWORK) is None:
        return "tinygrad is not installed: pip install 'tinygrad==0.13.*'"
    if COMPILER == "CLANG" and shutil.which("clang") is None:
        return "tinygrad needs clang on this processor: install it (apt install clang)"
    return None


def environment(device: str, threads: int) -> Mapping[str, str]:
    # what is compiled is kept from no worker to the next, and nothing is noted for a viewer
    settings = {"CACHELEVEL": "0", "TRACEMETA": "0"}
    return {"DEV": f"CPU:{COMPILER}", "CPU_COUNT": str(threads), **settings}


def configure(device: str, threads: int, precision: Precision, mode: str = MODES[0]) -> None:
    if precision not in ("float32", "float64"):
        raise Unavailable(f"tinygrad's products are not of {precision}: give --precision float32")
    if device != "cpu":
        raise Unavailable(f"this package computes on the CPU alone, not on {device}")
    from tinygrad import dtypes

    dtypes.default_float = dtypes.float64 if precision == "float64" else dtypes.float32


def describe() -> dict[str, Any]:
    from tinygrad import Device, dtypes
    from tinygrad.helpers import CPU_COUNT

    return {
        "devices": ["cpu"],
        "threads": {"CPU_COUNT": CPU_COUNT.value},
        "precision": {"default_float": dtypes.default_float.name},
        "compiler": type(Device[Device.DEFAULT].renderer).__name__,
    }


def repeatable(device: str, threads: int) -> str | None:
    return None


def product(a: Array, b: Array) -> Array:
    from tinygrad import Tensor

    found: Array = (Tensor(a) @ Tensor(b)).numpy()
    return found


def multiplier(a: Array, b: Array) -> Callable[[], object]:
    from tinygrad import Device, Tensor, TinyJit

    x, y = Tensor(a).realize(), Tensor(b).realize()
    multiply = TinyJit(Tensor.matmul)

    def product() -> object:
        found = multiply(x, y)
        Device[Device.DEFAULT].synchronize()
        return found

    return product


def start_device_clock() -> Callable[[], float] | None:
    return None
