"""Where a cell runs: the environment its worker is given, and the facts about the machine."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import backends
import tasks
from suite.system import git
from tasks.task import RequestError

# What a user's shell may hold that would change what is measured: of libraries below the
# frameworks. What steers a framework, its backend declares.
_FOREIGN = (
    *("OMP_", "KMP_", "GOMP_", "MKL_", "NUMEXPR_", "MALLOC_", "GLIBC_TUNABLES"),
    *("NVIDIA_TF32_OVERRIDE", "CUDA_LAUNCH_BLOCKING", "CUBLAS_"),
)
_POOLS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)

# glibc gives freed memory back to the system, and every step of a model takes it anew, page by
# page: that cost NumPy a third of its time on convolutions, and JAX, which takes the memory for
# all temporaries of a call at once, a fifth on the transformer. All memory comes from one heap
# that is kept, in huge pages where the system has them, for every backend.
_ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

_PRINTING = {"PYTHONIOENCODING": "utf-8:backslashreplace"}
"""Settings that keep what a framework prints, and let it never fail for want of a character."""


def worker_environment(backend: str, device: str, threads: int) -> dict[str, str]:
    """The environment of a worker: the caller's, less what steers frameworks, plus our settings."""
    steering = (*_FOREIGN, *(prefix for b in backends.every() for prefix in b.ENVIRONMENT))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(steering)}
    ours = {**dict.fromkeys(_POOLS, str(threads)), **_ALLOCATOR, **_PRINTING, **_cards(device)}
    kind = device.partition(":")[0]
    return {**kept, **ours, **backends.load(backend).environment(kind, threads)}


def _cards(device: str) -> dict[str, str]:
    """Which cards a worker sees: none on the CPU, of ``cuda:N`` the N-th that the caller sees.

    Frameworks take memory on every card there is, and each calls cards otherwise.
    """
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as nvidia-smi counts them
    if not number:
        return order
    cards = os.environ.get("CUDA_VISIBLE_DEVICES", number).split(",")
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        cards = cards[int(number) :][:1]
    return {**order, "CUDA_VISIBLE_DEVICES": "".join(cards)}


def cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_cpus(threads: int) -> None:
    """RequestError if there are fewer CPUs that can be used than ``threads``."""
    if threads > cpus():
        raise RequestError(f"--threads {threads} is more than the {cpus()} CPUs that can be used")


def at_once(threads: int) -> int:
    """How many workers of so many threads may work at the same time, where none is timed."""
    return max(1, cpus() // threads)


@functools.cache
def machine() -> Mapping[str, Any]:
    """The processor's model, cores, memory [bytes], operating system and Python."""
    import psutil  # a worker does without it

    return {
        "cpu": _cpu("model name") or platform.processor() or platform.machine(),
        "cpu_model": " ".join(_cpu(name) or "-" for name in ("cpu family", "model", "stepping")),
        "cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu(field: str) -> str | None:
    """A field that Linux gives of the first processor; None where it does not.

    Its name alone may be that of many: a virtual machine's is ``AMD EPYC``, whatever its kernels.
    """
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return None


@functools.cache
def package_versions() -> Mapping[str, str]:
    """The version of every installed distribution, by name."""
    found = {d.name: d.version for d in importlib.metadata.distributions()}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def computing(packages: Mapping[str, str]) -> dict[str, str]:
    """Versions by distribution, of those that losses and metrics depend on, as it is declared."""
    declared = (*tasks.PACKAGES, *(name for b in backends.every() for name in b.PACKAGES))
    return {name: packages[name] for name in declared if name in packages}


@functools.cache
def git_revision() -> Mapping[str, Any]:
    """The commit that the source stands at and whether it was changed since.

    Both None if no repository that git can read tracks this source.
    """
    known: dict[str, Any] = {"commit": None, "dirty": None}
    seconds = 30.0
    with suppress(git.GitError):
        git.require_tracked(seconds)
        known["commit"] = git.ask("rev-parse", "--verify", "HEAD", timeout=seconds)
        # whatever the user's settings hide; and of this source alone, should more be tracked there
        changes = ("status", "--porcelain", "--untracked-files=normal", "--", ".")
        known["dirty"] = bool(git.ask(*changes, timeout=seconds))
    return known
