"""Disturbances of the machine: each is found and named, and none where there is none."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from suite.records.timing import Contestant
from suite.session import noise
from suite.session.noise import Watch


class Machine:
    """Stands for psutil and the clock; what happens on it is set by hand."""

    NoSuchProcess = KeyError

    def __init__(self) -> None:
        self.now, self.steal, self.busy, self.own, self.mhz = 100.0, 0.0, 0.0, 0.0, 3_000.0

    def Process(self, pid: int | None = None) -> Any:
        return SimpleNamespace(cpu_times=lambda: self._times(0.0 if pid is None else self.own))

    def _times(self, user: float) -> Any:
        return SimpleNamespace(user=user, system=0.0, steal=self.steal)

    def cpu_times(self) -> Any:
        return self._times(self.busy)

    def cpu_freq(self) -> Any:
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
