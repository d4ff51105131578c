"""Control groups (Linux): the CPUs and the memory they leave to this process, and their stops.

A group may set a quota of processor time per period; so may every group above it. A process that
has used up one of them is stopped until the next period: it is throttled.
https://docs.kernel.org/scheduler/sched-bwc.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from suite.system.readings import readable, text

SYSTEM = Path("/")
"""The folder that has /proc and /sys."""
UNLIMITED = 1 << 60
"""Bytes from which on a limit is none: version 1 has the largest number there is."""


@dataclass(frozen=True)
class Throttling:
    """How often quotas have stopped the processes of a group, and for how long in all [s]."""

    times: int = 0
    seconds: float = 0.0

    def since(self, before: Throttling) -> Throttling:
        """The part that came after ``before``."""
        return Throttling(self.times - before.times, self.seconds - before.seconds)


def quota(system: Path = SYSTEM) -> float | None:
    """The CPUs that quotas allow, the fewest of the own group's and those above it.

    ``inf`` where none is set; None where no group says anything.
    """
    limits = (readable(partial(_limit, folder)) for folder in _groups(system))
    return min((limit for limit in limits if limit is not None), default=None)


def memory_limit(system: Path = SYSTEM) -> int | None:
    """The least memory that the own group or one above it may have [bytes]; None where all may."""
    files = "memory.max", "memory.limit_in_bytes"  # of version 2, of version 1
    texts = (text(folder / name) for folder in _groups(system, "memory") for name in files)
    limits = [int(found) for found in texts if found and found.isdecimal()]
    return min((limit for limit in limits if limit < UNLIMITED), default=None)


def throttling(system: Path = SYSTEM) -> Throttling:
    """The stops by quotas of the own group and of those above it, until now."""
    found = [_throttling(folder) for folder in _groups(system)]
    return Throttling(sum(t.times for t in found), sum(t.seconds for t in found))


def _groups(system: Path, kind: str = "cpu") -> Iterator[Path]:
    """The folders of the groups that share out processor time, each followed by those above it.

    Or of those that share out another ``kind``, such as memory.
    """
    for line in (text(system / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and kind not in controllers.split(","):
            continue
        top = _top(system / "sys/fs/cgroup", controllers.split(","), kind)
        # in a container the path may be the host's, of which it sees the last folder alone, as top
        parts = [part for part in group.split("/") if part]
        depth = 0 if ".." in parts else len(parts)
        for length in range(depth, -1, -1):
            yield top.joinpath(*parts[:length])


def _top(mounted: Path, controllers: Sequence[str], kind: str) -> Path:
    """Where the hierarchy of these controllers is mounted; of version 2, which names none."""
    names = (",".join(controllers), ",".join(reversed(controllers)), kind)
    if controllers == [""]:
        names = ("unified", "", "")  # beside hierarchies of version 1, or alone
    return next((mounted / name for name in names if (mounted / name).is_dir()), mounted)


def _limit(folder: Path) -> float | None:
    """The CPUs that one group allows, ``inf`` if it sets no quota; None where it says nothing."""
    both = (text(folder / "cpu.max") or "").split()  # version 2
    if not both:  # version 1
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        both = [found for name in names if (found := text(folder / name))]
    if len(both) != 2:
        return None
    used, period = both
    return math.inf if used in ("max", "-1") else int(used) / int(period)


def _throttling(folder: Path) -> Throttling:
    lines = (line.split() for line in (text(folder / "cpu.stat") or "").splitlines())
    said = {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdecimal()}
    microseconds = said.get("throttled_usec", 0) + said.get("throttled_time", 0) / 1000
    return Throttling(said.get("nr_throttled", 0), microseconds / 1e6)
