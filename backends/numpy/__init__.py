"""NumPy: forward and backward passes written by hand. In float64 it is the suite's oracle."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from suite.contract import Array, Precision, Unavailable

FRAMEWORK = "numpy"
MODES = ("eager",)


def available(mode: str = MODES[0]) -> str | None:
    if importlib.util.find_spec(FRAMEWORK) is None:
        return "NumPy is not installed: pip install numpy"
    return None


def environment(device: str, threads: int) -> Mapping[str, str]:
    return {}


def configure(device: str, threads: int, precision: Precision, mode: str = MODES[0]) -> None:
    import numpy  # noqa: F401  (clocked as the import of the framework)

    if device != "cpu":
        raise Unavailable(f"the NumPy backend has no device {device!r}: it runs on cpu")


def describe() -> dict[str, Any]:
    return {"devices": ["cpu"], "threads": {}, "precision": {}}


def repeatable(device: str, threads: int) -> str | None:
    return None


def product(a: Array, b: Array) -> Array:
    found: Array = a @ b
    return found
