"""The ledger: what a worker's speed depends on besides its program, read inside the worker.

A reading goes before a claim: whether products are rounded and small numbers flushed to zero is
found by computing with them, how many cores are used by the processor time that training takes.
What cannot be read is said to be so.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backends.program import Backend, Unavailable
from tasks.task import Array, Precision, State, dtype_of

NOT_READABLE = "not readable"
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


def _pools() -> dict[str, int]:
    """The threads of the pools of BLAS and OpenMP; of a library that is there twice, of both.

    None without threadpoolctl: a worker needs nothing but NumPy and its framework.
    """
    try:
        import threadpoolctl
    except ImportError:
        return {}
    found: dict[str, int] = {}
    seen: Counter[str] = Counter()
    for pool in threadpoolctl.threadpool_info():
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


def _running_threads() -> dict[str, int] | str:
    """The threads of this process by name (Linux)."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        return NOT_READABLE
    return dict(
        Counter((task / "comm").read_text(encoding="utf-8").strip() for task in tasks.iterdir())
    )


def system(root: Path = Path("/")) -> dict[str, Any]:
    """The system's part, of which ``root`` has the folders /sys and /proc."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    devices = root / "sys/devices/system/cpu"
    return {
        "affinity": cpus or NOT_READABLE,
        "cpu_quota": _quota(root),
        "governor": ", ".join(_governors(devices, cpus)) or NOT_READABLE,
        "boost": _boost(devices),
        "frequency_khz": _frequencies(devices, cpus),
        "huge_pages": _huge_pages(root),
    }


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _governors(devices: Path, cpus: Sequence[int]) -> Mapping[str, None]:
    found = (_text(devices / f"cpu{cpu}/cpufreq/scaling_governor") for cpu in cpus)
    return dict.fromkeys(name for name in found if name)


def _frequencies(devices: Path, cpus: Sequence[int]) -> list[int] | str:
    """Frequencies [kHz] of every processor that may be used, at this moment."""
    found = (_text(devices / f"cpu{cpu}/cpufreq/scaling_cur_freq") for cpu in cpus)
    return [int(text) for text in found if text] or NOT_READABLE


def _boost(devices: Path) -> str:
    boost, no_turbo = _text(devices / "cpufreq/boost"), _text(devices / "intel_pstate/no_turbo")
    if boost is None and no_turbo is None:
        return NOT_READABLE
    return "on" if boost == "1" or no_turbo == "0" else "off"


def _huge_pages(root: Path) -> str:
    """``[madvise]`` of ``always [madvise] never``."""
    text = _text(root / "sys/kernel/mm/transparent_hugepage/enabled") or ""
    return text.partition("[")[2].partition("]")[0] or NOT_READABLE


def _quota(root: Path) -> float | str:
    """The CPUs that the control groups allow, the fewest of the group's own and its parents'."""
    found: list[float] = []
    readable = False
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controllers
        for folder in (top / group.lstrip("/"), *(top / group.lstrip("/")).parents):
            limit = _limit(folder)
            readable |= limit is not None
            found += [limit] if limit else []
            if folder == top:
                break
    return min(found) if found else "none" if readable else NOT_READABLE


def _limit(folder: Path) -> float | None:
    """The CPUs that one group allows, 0 where it sets no limit; None where it does not say."""
    both = (_text(folder / "cpu.max") or "").split()  # version 2
    if not both:  # version 1
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        both = [text for name in names if (text := _text(folder / name))]
    if len(both) != 2:
        return None
    quota, period = both
    return 0.0 if quota in ("max", "-1") else int(quota) / int(period)
