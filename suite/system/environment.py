"""Where a cell runs: the environment its worker is given, and the facts about the machine."""

from __future__ import annotations

import functools
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import backends
import tasks
from suite.system import cgroups, git, packages, variables
from suite.system.readings import NOT_READABLE, readable, text
from tasks.task import RequestError

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

_PYTHON = {
    # what a framework prints is kept, and never fails for want of a character
    "PYTHONIOENCODING": "utf-8:backslashreplace",
    # else sets of texts have another order in every process, and may graphs that are made of them
    "PYTHONHASHSEED": "0",
}


def worker_environment(backend: str, device: str, threads: int) -> dict[str, str]:
    """The environment of a worker: what ``variables`` lets pass of the caller's, our settings."""
    ours = {**dict.fromkeys(_POOLS, str(threads)), **_ALLOCATOR, **_PYTHON, **_cards(device)}
    kind = device.partition(":")[0]
    own = backends.load(backend).environment(kind, threads)
    return {**variables.passed(_as_python_was_started(os.environ)), **ours, **own}


def _as_python_was_started(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables such that a new Python searches for modules where this one does.

    With ``python -E`` or ``-I`` this one ignores all of its own, with ``-s`` the user's packages.
    """
    kept = dict(environment)
    if sys.flags.ignore_environment:
        kept = {k: v for k, v in kept.items() if not k.startswith("PYTHON")}
    if sys.flags.no_user_site:
        kept["PYTHONNOUSERSITE"] = "1"
    return kept


def _cards(device: str) -> dict[str, str]:
    """Which cards a worker sees: none on the CPU, of ``cuda:N`` the N-th that the caller sees.

    Frameworks take memory on every card there is, and each calls cards otherwise.
    """
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as nvidia-smi counts them
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not number:
        return order if seen is None else {**order, "CUDA_VISIBLE_DEVICES": seen}
    cards = [number] if seen is None else seen.split(",")[int(number) :][:1]
    return {**order, "CUDA_VISIBLE_DEVICES": "".join(cards)}


def cpus() -> int:
    """How many CPUs this process may use: of those that it may run on, as many as quotas allow.

    Half a CPU more than whole ones is none: a thread that had it would be stopped half of the time.
    """
    there = readable(lambda: len(os.sched_getaffinity(0))) or os.cpu_count() or 1
    allowed = cgroups.quota()
    return there if allowed is None else max(1, int(min(there, allowed)))


def require_cpus(threads: int) -> None:
    """RequestError if there are fewer CPUs that can be used than ``threads``."""
    if threads > (usable := cpus()):
        allowed = cgroups.quota() or math.inf
        limit = f", with a quota of {allowed:g} by control groups" if allowed < math.inf else ""
        there = f"{usable} CPU{'s' * (usable > 1)} that can be used{limit}"
        raise RequestError(f"--threads {threads} is more than the {there}")


def at_once(threads: int) -> int:
    """How many workers of so many threads may work at the same time, where none is timed."""
    return max(1, cpus() // threads)


@functools.cache
def machine() -> Mapping[str, Any]:
    """The processor's model, cores, memory [bytes], limits, operating system and Python.

    What cannot be read is said to be so; of a number it is None. Limits are those of control groups
    (containers): CPUs and bytes, None where there is none.
    """
    import psutil  # a worker does without it

    return {
        **_processor(),
        "cores": readable(lambda: psutil.cpu_count(logical=False)),
        "logical_cores": readable(psutil.cpu_count),
        "memory_bytes": readable(lambda: psutil.virtual_memory().total),
        "cpu_limit": limit if (limit := cgroups.quota() or math.inf) < math.inf else None,
        "memory_limit_bytes": readable(cgroups.memory_limit),
        "system": readable(platform.platform) or NOT_READABLE,
        "kernel": readable(platform.release) or NOT_READABLE,
        "python": platform.python_version(),
    }


_MODELS = (
    ("cpu family", "model", "stepping"),
    ("CPU implementer", "CPU variant", "CPU part", "CPU revision"),  # of ARM's processors
)


def _processor(system: Path = Path("/")) -> dict[str, str]:
    """The name of the first processor, and what Linux says of its model.

    Its name alone may be that of many: a virtual machine's is ``AMD EPYC``, whatever its kernels.
    """
    fields: dict[str, str] = {}
    for line in (text(system / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    names = next((own for own in _MODELS if any(map(fields.get, own))), _MODELS[0])
    called = fields.get("model name") or readable(platform.processor) or platform.machine()
    return {
        "cpu": called or NOT_READABLE,
        "cpu_model": " ".join(fields.get(name) or "-" for name in names),
        "microcode": fields.get("microcode") or NOT_READABLE,
    }


@functools.cache
def package_versions() -> Mapping[str, str]:
    """The version of every distribution that a worker may import, by name."""
    # a worker is started with -P: it does not search the folder that Python may put first
    path = sys.path if sys.flags.safe_path else sys.path[1:]
    return packages.versions(path, _declared())


@functools.cache
def versions_in(python: str) -> Mapping[str, str]:
    """The same, of a worker that another Python runs. RequestError if that cannot be asked."""
    if python == sys.executable:
        return package_versions()
    code = "import json, sys; print(json.dumps(sys.path))"
    try:
        done = subprocess.run([python, "-P", "-c", code], capture_output=True, check=True)
        path = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise RequestError(f"{python} is no Python that can be asked: {error}") from None
    return packages.versions(path, _declared())


def computing(known: Mapping[str, str]) -> dict[str, str]:
    """Versions by distribution, of those that losses and metrics depend on, as it is declared."""
    return {name: known[name] for name in _declared() if name in known}


def _declared() -> tuple[str, ...]:
    return (*tasks.PACKAGES, *(name for b in backends.every() for name in b.PACKAGES))


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
