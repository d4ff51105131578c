"""Quotas of control groups: what they leave is what is counted as CPUs."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest

from suite.cli.options import require_possible
from suite.system import cgroups, environment
from suite.system.cgroups import Throttling, quota, throttling
from tasks.task import RequestError
from tests.suite.machine import write

OWN = "proc/self/cgroup"
SET = ("cpu.cfs_quota_us", "cpu.cfs_period_us")


def version_1(folder: str, used: str) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in zip(SET, (used, "100000"), strict=True)}


GROUPS = "sys/fs/cgroup"
MACHINES = [
    # version 2: of a system's service, of a container, which sees its own group as top
    ({OWN: "0::/a/b", f"{GROUPS}/a/cpu.max": "50000 100000"}, 0.5),
    ({OWN: "0::/", f"{GROUPS}/cpu.max": "150000 100000"}, 1.5),
    ({OWN: "0::/../x", f"{GROUPS}/cpu.max": "150000 100000"}, 1.5),
    ({OWN: "0::/a", f"{GROUPS}/a/cpu.max": "max 100000"}, math.inf),
    # version 1: mounted by both names in either order, or by one; in a container by the host's path
    ({OWN: "4:cpu,cpuacct:/a", **version_1(f"{GROUPS}/cpu,cpuacct/a", "50000")}, 0.5),
    ({OWN: "4:cpu,cpuacct:/a", **version_1(f"{GROUPS}/cpuacct,cpu/a", "50000")}, 0.5),
    ({OWN: "4:cpu,cpuacct:/a", **version_1(f"{GROUPS}/cpu/a", "50000")}, 0.5),
    ({OWN: "4:cpu:/docker/1f", **version_1(f"{GROUPS}/cpu", "250000")}, 2.5),
    ({OWN: "4:cpu:/", **version_1(f"{GROUPS}/cpu", "-1")}, math.inf),
    # both: the controller is in one of them
    ({OWN: "4:cpu:/a\n0::/a", **version_1(f"{GROUPS}/cpu/a", "50000")}, 0.5),
    ({OWN: "1:name=systemd:/\n0::/a", f"{GROUPS}/unified/a/cpu.max": "50000 100000"}, 0.5),
    ({OWN: "5:memory:/a", f"{GROUPS}/memory/a/cpu.max": "50000 100000"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("files", "allowed"), MACHINES)
def test_the_quota_is_found_wherever_it_is_set(
    tmp_path: Path, files: dict[str, str], allowed: float | None
) -> None:
    assert quota(write(tmp_path, files)) == allowed


@pytest.mark.parametrize(
    ("text", "here", "usable"),
    [
        ("50000 100000", 8, 1),
        ("150000 100000", 8, 1),  # two threads would be stopped half of the time
        ("200000 100000", 8, 2),
        ("900000 100000", 2, 2),
        ("max 100000", 8, 8),
        ("no number", 8, 8),
    ],
)
def test_quotas_bound_what_is_counted_as_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, here: int, usable: int
) -> None:
    root = write(tmp_path, {OWN: "0::/a", f"{GROUPS}/a/cpu.max": text})
    monkeypatch.setattr(cgroups, "quota", partial(quota, root))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(here)))
    assert environment.cpus() == usable
    assert environment.at_once(1) == usable  # so many workers verify at the same time
    assert environment.at_once(2) == max(1, usable // 2)
    require_possible(usable, 1.0)
    with pytest.raises(RequestError, match=f"--threads {usable + 1} is more than the {usable} CPU"):
        require_possible(usable + 1, 1.0)


def test_a_refusal_names_the_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path, {OWN: "0::/", f"{GROUPS}/cpu.max": "50000 100000"})
    monkeypatch.setattr(cgroups, "quota", partial(quota, root))
    with pytest.raises(RequestError) as error:
        environment.require_cpus(2)
    assert str(error.value) == (
        "--threads 2 is more than the 1 CPU that can be used, with a quota of 0.5 by control groups"
    )


def test_without_the_systems_word_all_processors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    monkeypatch.setattr(cgroups, "quota", lambda: None)
    assert environment.cpus() == 3


def test_whoever_stops_the_own_group_is_counted(tmp_path: Path) -> None:
    """Groups above stop it, too; one beside does not."""
    texts = {OWN: "0::/a/b", f"{GROUPS}/a/cpu.stat": "nr_throttled 3\nthrottled_usec 1000000"}
    texts[f"{GROUPS}/a/b/cpu.stat"] = "throttled_usec 500000\nnr_throttled 2"
    texts[f"{GROUPS}/a/c/cpu.stat"] = "nr_throttled 9"
    assert throttling(write(tmp_path, texts)) == Throttling(5, 1.5)
    assert throttling(tmp_path / "nothing") == Throttling(0, 0.0)
