"""The ledger: what a worker's speed depends on besides its program, read inside the worker.

A reading goes before a claim: whether products are rounded and small numbers flushed to zero is
found by computing with them, how many cores are used by the processor time that training takes.
What cannot be read is said to be so.
"""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backends.program import Backend, Unavailable
from suite.system import cgroups, variables
from suite.system.readings import NOT_READABLE, readable, text
from tasks.task import Array, Precision, State, dtype_of

ALLOCATOR = ("MALLOC_", "GLIBC_TUNABLES")
"""How the variables begin that steer glibc's allocator."""
ROUNDED: Mapping[Precision, str] = {"tf32": "rounded to 11 bits", "bfloat16": "rounded to 8 bits"}
"""Rounding of products' factors that a precision must show."""
SIDE = 64
"""Rows and columns of the matrices whose product is looked at."""


def facts(backend: Backend, dtype: str) -> dict[str, Any]:
    """Facts in force now, after ``configure``: threads, rounding, denormals, the system's part.

    ``dtype`` is that of parameters; ``precision`` is what the framework says of itself,
    ``products`` and ``denormals`` what was found.
    """
    described = backend.describe()
    return {
        **described,
        "threads": {**described["threads"], **_pools()},
        "allocator": {k: v for k, v in os.environ.items() if k.startswith(ALLOCATOR)},
        "environment": variables.told(os.environ),
        "interpreter": _interpreter(),
        "products": _products(backend.product, dtype),
        "denormals": _denormals(backend.product, dtype),
        **system(),
    }


def require_products(backend: Backend, precision: Precision) -> None:
    """Unavailable if products do not round as ``precision`` says: a setting may have no effect."""
    if precision in ROUNDED:
        found = _products(backend.product, dtype_of(precision))
        if found != ROUNDED[precision]:
            raise Unavailable(f"products are not of {precision} here: {found}, as computing shows")


def after_training(state: State, processor_seconds: float, seconds: float) -> dict[str, Any]:
    """Facts that show only in training: cores it used, the process's threads, denormals it left.

    These are counted in parameters and the optimiser's memory, as a fraction of all their entries.
    """
    arrays = [a for tree in (state.params, *state.slots.values()) for a in tree.values()]
    return {
        "cores_used": round(processor_seconds / seconds, 3) if seconds else None,
        "running_threads": _running_threads(),
        "denormals_left": sum(map(_count_denormals, arrays)) / sum(a.size for a in arrays),
    }


def _interpreter() -> dict[str, str]:
    """How Python was built, which flags are not 0, and what watches every line or allocation."""
    import tracemalloc  # here, where no phase of the clock goes on

    monitoring = getattr(sys, "monitoring", None)  # of Python 3.12 and later
    watching = {
        "a trace function": sys.gettrace() is not None,
        "a profile function": sys.getprofile() is not None,
        "tracemalloc": tracemalloc.is_tracing(),
        "sys.monitoring": monitoring and any(map(monitoring.get_tool, range(6))),
    }
    flags = ((name, getattr(sys.flags, name)) for name in sys.flags.__match_args__)
    return {
        "build": " ".join(sys.version.split()),
        "flags": ", ".join(f"{name}={int(value)}" for name, value in flags if value) or "none",
        "watched by": ", ".join(name for name, on in watching.items() if on) or "none",
    }


def _pools() -> Mapping[str, int | str]:
    """The threads of the pools of BLAS and OpenMP; of a library that is there twice, of both.

    Nothing without threadpoolctl: a worker needs nothing but NumPy and its framework.
    """
    try:
        import threadpoolctl
    except ImportError:
        return {}
    found = readable(lambda: _by_name(threadpoolctl.threadpool_info()))
    return {"pools": NOT_READABLE} if found is None else found


def _by_name(pools: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    seen: Counter[str] = Counter()
    for pool in pools:
        name = f"{pool['user_api']}:{pool['internal_api']}"
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name}#{seen[name]}"] = pool["num_threads"]
    return found


def _products(product: Callable[[Array, Array], Array], dtype: str) -> str:
    """Digits of its factors that a product keeps: all of them, or how many if it rounds first."""
    one, whole = np.ones((SIDE, SIDE), dtype), np.eye(SIDE, dtype=dtype)
    for bits in range(np.finfo(dtype).nmant, 0, -1):
        finest = one + one * 2.0**-bits
        if np.array_equal(product(finest, whole), finest):
            return "all digits" if bits == np.finfo(dtype).nmant else f"rounded to {bits + 1} bits"
    return "rounded"


def _denormals(product: Callable[[Array, Array], Array], dtype: str) -> str:
    """The fate of a product smaller than the smallest normal number: it is kept, or becomes 0."""
    # powers of two, of which no rounding takes anything
    small = np.array(2.0 ** (np.finfo(dtype).minexp // 2 - 4), dtype)
    factor = np.full((SIDE, SIDE), small, dtype)
    found = product(factor, np.eye(SIDE, dtype=dtype) * small)
    kept = _count_denormals(found)
    return {0: "flushed to zero", found.size: "kept"}.get(kept, "partly flushed to zero")


def _count_denormals(array: Array) -> int:
    """How many there are. By their bits: a processor that flushes them takes them for 0."""
    kind = np.dtype(f"u{array.dtype.itemsize}")
    bits = np.ascontiguousarray(array).view(kind)
    info = np.finfo(array.dtype)
    magnitude = bits & kind.type(2 ** (8 * array.dtype.itemsize - 1) - 1)
    return int(((magnitude > 0) & (magnitude < kind.type(2**info.nmant))).sum())


def _running_threads(root: Path = Path("/")) -> dict[str, int] | str:
    """The threads of this process by name (Linux), less those that end while they are read."""
    tasks = readable(lambda: list((root / "proc/self/task").iterdir())) or []
    names = (text(task / "comm") for task in tasks)
    return dict(Counter(name for name in names if name)) or NOT_READABLE


def system(root: Path = Path("/")) -> dict[str, Any]:
    """The system's part, of which ``root`` has the folders /sys, /proc and /etc."""
    cpus = readable(lambda: sorted(os.sched_getaffinity(0))) or []
    devices = root / "sys/devices/system/cpu"
    return {
        "affinity": cpus or NOT_READABLE,
        "cpu_quota": _quota(root),
        "governor": ", ".join(_governors(devices, cpus)) or NOT_READABLE,
        "boost": _boost(devices),
        "frequency_khz": _frequencies(devices, cpus),
        "huge_pages": _huge_pages(root),
        "preloaded": text(root / "etc/ld.so.preload") or "none",
    }


def _governors(devices: Path, cpus: Sequence[int]) -> Mapping[str, None]:
    found = (text(devices / f"cpu{cpu}/cpufreq/scaling_governor") for cpu in cpus)
    return dict.fromkeys(name for name in found if name)


def _frequencies(devices: Path, cpus: Sequence[int]) -> list[int] | str:
    """Frequencies [kHz] of every processor that may be used, at this moment."""
    found = (text(devices / f"cpu{cpu}/cpufreq/scaling_cur_freq") for cpu in cpus)
    return [int(khz) for khz in found if khz and khz.isdecimal()] or NOT_READABLE


def _boost(devices: Path) -> str:
    boost, no_turbo = text(devices / "cpufreq/boost"), text(devices / "intel_pstate/no_turbo")
    if boost == "1" or no_turbo == "0":
        return "on"
    return "off" if boost == "0" or no_turbo == "1" else NOT_READABLE


def _huge_pages(root: Path) -> str:
    """``[madvise]`` of ``always [madvise] never``."""
    choices = text(root / "sys/kernel/mm/transparent_hugepage/enabled") or ""
    return choices.partition("[")[2].partition("]")[0] or NOT_READABLE


def _quota(root: Path) -> float | str:
    found = cgroups.quota(root)
    return NOT_READABLE if found is None else "none" if found == math.inf else found
