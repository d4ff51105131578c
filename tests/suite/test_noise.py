"""Disturbances of the machine: each is found and named, and none where there is none."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from suite.records.timing import Contestant
from suite.session import noise
from suite.session.noise import Watch
from tests.suite.machine import write


class Machine:
    """Stands for psutil and the clock; what happens on it is set by hand."""

    NoSuchProcess = KeyError

    def __init__(self) -> None:
        self.now, self.steal, self.busy, self.own, self.mhz = 100.0, 0.0, 0.0, 0.0, 3_000.0
        self.ended = 0.0
        """Processor seconds of the worker, once it has ended."""
        self.hidden = False

    def Process(self, pid: int | None = None) -> Any:
        def cpu_times() -> Any:
            if pid is None:
                return self._times(0.0, self.ended)
            if self.ended:
                raise KeyError(pid)
            return self._times(self.own)

        return SimpleNamespace(cpu_times=cpu_times)

    def _times(self, user: float, of_children: float = 0.0) -> Any:
        own = {"user": user, "system": 0.0, "steal": self.steal}
        return SimpleNamespace(**own, children_user=of_children, children_system=0.0)

    def cpu_times(self) -> Any:
        if self.hidden:
            raise PermissionError("/proc/stat")
        return self._times(self.busy)

    def cpu_freq(self) -> Any:
        if self.hidden:
            raise FileNotFoundError("/sys/devices/system/cpu")
        return SimpleNamespace(current=self.mhz)

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(noise, "psutil", made)
    monkeypatch.setattr(noise, "time", made)
    return made


def idle(load: float) -> Contestant:
    return Contestant("jax:jit", "jax", "jit", True, (1.0,), load)


def test_a_quiet_machine_gives_no_warning(machine: Machine) -> None:
    watch = Watch([os.getpid()])
    machine.now += 10
    machine.own += 9.8
    machine.busy += 10
    assert watch.warnings([idle(0.001)]) == ()


@pytest.mark.parametrize(
    ("changes", "load", "warning"),
    [
        ({"steal": 1.0}, 0.0, "10% of a processor was stolen by other virtual machines"),
        ({"busy": 12.0}, 0.0, "other programs used 20% of a processor"),
        ({}, 0.5, "jax:jit used 50% of a processor while others worked"),
        ({"mhz": 2_000.0}, 0.0, "the processor's frequency went from 3000 to 2000 MHz"),
    ],
)
def test_every_disturbance_is_named_with_its_number(
    machine: Machine, changes: dict[str, float], load: float, warning: str
) -> None:
    watch = Watch([os.getpid()])
    machine.now += 10
    machine.own += 10
    machine.busy += 10
    for name, value in changes.items():
        setattr(machine, name, value)
    assert watch.warnings([idle(load)]) == (warning,)


def test_a_worker_that_has_ended_is_no_other_program(machine: Machine) -> None:
    watch = Watch([os.getpid()])
    machine.now += 10
    machine.busy += 10
    machine.ended = 10.0
    assert watch.warnings([]) == ()


def test_what_a_container_hides_is_said_and_costs_nothing(machine: Machine) -> None:
    machine.hidden = True
    watch = Watch([os.getpid()])
    machine.now += 10
    assert watch.warnings([]) == ("what other programs did could not be read",)


@pytest.mark.parametrize(
    ("group", "file", "before", "after"),
    [
        (
            *("0::/a/b", "a/cpu.stat"),
            "usage_usec 9\nnr_periods 90\nnr_throttled 7\nthrottled_usec 500000",
            "usage_usec 9\nnr_throttled 220\nthrottled_usec 12500000\nnr_bursts 0",
        ),
        (
            *("3:cpu,cpuacct:/a/b", "cpu,cpuacct/a/b/cpu.stat"),
            "nr_periods 90\nnr_throttled 7\nthrottled_time 500000000",
            "throttled_time 12500000000\nnr_throttled 220\nnr_periods 900",
        ),
    ],
)
def test_being_stopped_by_a_quota_is_noise(
    machine: Machine, tmp_path: Path, group: str, file: str, before: str, after: str
) -> None:
    stat = f"sys/fs/cgroup/{file}"
    watch = Watch([], write(tmp_path, {"proc/self/cgroup": group, stat: before}))
    machine.now += 10
    assert watch.warnings([]) == ()
    write(tmp_path, {stat: after})
    assert watch.warnings([]) == ("a CPU quota stopped the work 213 times, for 12 s in all",)
    write(tmp_path, {stat: "nr_throttled 8"})
    assert watch.warnings([]) == ("a CPU quota stopped the work 1 time",)
    write(tmp_path, {stat: "nr_throttled\nno number 5\n"})
    assert watch.warnings([]) == ()
