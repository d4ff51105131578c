"""NumPy: forward and backward passes written by hand. In float64 it is the suite's oracle.

On a GPU the same code computes with CuPy's arrays.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from typing import Any

from backends.program import Unavailable
from tasks.task import Array, Precision

TITLE = "NumPy"
FRAMEWORK = "numpy"
PACKAGES = ("numpy", "scipy", "cupy-cuda12x", "cupy-cuda13x")
DEVICES = ("cpu", "cuda")
ONLY_ON: Mapping[str, str] = {}
MODES = ("eager",)
module = "numpy"
"""The array module that programs compute with, set by ``configure``; see ``arrays``."""


def available(mode: str = MODES[0]) -> str | None:
    if importlib.util.find_spec(FRAMEWORK) is None:
        return "NumPy is not installed: pip install numpy"
    return None


def environment(device: str, threads: int) -> Mapping[str, str]:
    # what is compiled is kept from no worker to the next
    return {"CUPY_CACHE_IN_MEMORY": "1"} if device == "cuda" else {}


def configure(device: str, threads: int, precision: Precision, mode: str = MODES[0]) -> None:
    if precision == "bfloat16" or (precision == "tf32" and device == "cpu"):
        raise Unavailable(f"NumPy's products are not of {precision}: give --precision float32")
    if precision == "tf32":
        os.environ["CUPY_TF32"] = "1"  # read when it is imported
    globals()["module"] = "numpy" if device == "cpu" else _cupy()
    importlib.import_module(module)  # clocked as the import of the framework


def _cupy() -> str:
    """The name of CuPy; Unavailable if it is not there, or finds no GPU."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise Unavailable(
            "NumPy has no device 'cuda' without CuPy: pip install 'tetragrad[gpu]' "
            f"({_first_line(error)})"
        ) from None
    try:
        cupy.zeros(1)
    except Exception as error:  # noqa: BLE001  (its errors have no class in common)
        raise Unavailable(f"CuPy has no device 'cuda' here: {_first_line(error)}") from None
    return "cupy"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def describe() -> dict[str, Any]:
    if module == "numpy":
        return {"devices": ["cpu"], "threads": {}, "precision": {}}
    cupy = importlib.import_module(module)
    cards = [f"cuda:{i}" for i in range(cupy.cuda.runtime.getDeviceCount())]
    precision = {"CUPY_TF32": os.environ.get("CUPY_TF32", "0")}
    return {"devices": ["cpu", *cards], "threads": {}, "precision": precision}


def repeatable(device: str, threads: int) -> str | None:
    return None if device == "cpu" else "some kernels on a GPU add in an order that varies"


def product(a: Array, b: Array) -> Array:
    from backends.numpy import arrays

    found: Array = arrays.to_host(arrays.xp.asarray(a) @ arrays.xp.asarray(b))
    return found


def multiplier(a: Array, b: Array) -> Callable[[], object]:
    from backends.numpy import arrays

    x, y = arrays.xp.asarray(a), arrays.xp.asarray(b)
    product = arrays.xp.empty((len(x), y.shape[1]), x.dtype)

    def multiply() -> object:
        arrays.xp.matmul(x, y, out=product)
        arrays.synchronize()
        return product

    return multiply


def start_device_clock() -> Callable[[], float] | None:
    if module == "numpy":
        return None
    cuda = importlib.import_module(module).cuda
    begin, end = cuda.Event(), cuda.Event()
    begin.record()

    def stop() -> float:
        end.record()
        end.synchronize()
        return float(cuda.get_elapsed_time(begin, end)) / 1000

    return stop
