"""Readings of the system, missing or of another form: they never cost a result."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from suite.session import process, turns
from suite.session.turns import Turns
from suite.system import environment, memory
from suite.system.readings import readable, text
from suite.worker.main import peak_memory
from tests.suite.machine import write


def test_a_reading_is_none_whatever_it_raises() -> None:
    def vanish() -> str:
        raise ProcessLookupError(3, "No such process")

    assert readable(vanish) is None
    assert readable(lambda: 1 // 0) is None
    assert readable(lambda: "there") == "there"


def test_an_interrupt_is_no_failed_reading() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        readable(interrupted)


def test_texts(tmp_path: Path) -> None:
    write(tmp_path, {"there": " a\nb ", "empty": ""})
    (tmp_path / "bytes").write_bytes(b"a\xff")
    names = ("there", "empty", "bytes", "nothing", ".", "there/below")
    assert [text(tmp_path / name) for name in names] == ["a\nb", None, "a\ufffd", None, None, None]


CUT = ["", "Name:\tpython", "VmHWM:", "VmHWM:\t12", "VmHWM:\tmany kB", "VmPeak:\t12 kB"]


class TestPeakMemory:
    @pytest.fixture(autouse=True)
    def linux(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.platform", "linux")

    @pytest.mark.parametrize("status", CUT)
    def test_without_its_line_it_is_not_known(self, tmp_path: Path, status: str) -> None:
        assert peak_memory(write(tmp_path, {"proc/self/status": status})) is None

    def test_wherever_its_line_is(self, tmp_path: Path) -> None:
        status = "Threads:\t1\nVmHWM:\t    2048 kB\nVmPeak:\t 9 kB"
        assert peak_memory(write(tmp_path, {"proc/self/status": status})) == 2 << 20
        assert peak_memory(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("counters", "kills"),
    [("pgfault 9\noom_kill 3", 3), ("oom_kill", 0), ("oom_kill x", 0), ("pgfault 9", 0)],
)
def test_kills_for_memory(tmp_path: Path, counters: str, kills: int) -> None:
    assert process._oom_kills(write(tmp_path, {"proc/vmstat": counters})) == kills
    assert process._oom_kills(tmp_path / "nothing") == 0


class TestProcessor:
    def test_the_first_one_in_any_order(self, tmp_path: Path) -> None:
        info = "stepping : 1\nmodel name : A\nmodel\t: 17\ncpu family : 25\n"
        info += "microcode : 0x2\nflags:\n\nmodel name : B\nmicrocode : 0x3"
        found = environment._processor(write(tmp_path, {"proc/cpuinfo": info}))
        assert found == {"cpu": "A", "cpu_model": "25 17 1", "microcode": "0x2"}

    def test_those_of_arm_have_fields_of_other_names(self, tmp_path: Path) -> None:
        info = "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd40\nCPU revision : 1"
        found = environment._processor(write(tmp_path, {"proc/cpuinfo": info}))
        assert found["cpu_model"] == "0x41 - 0xd40 1"

    def test_what_is_not_there_is_said_to_be_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("platform.processor", lambda: 1 / 0)
        monkeypatch.setattr("platform.machine", lambda: "")
        found = environment._processor(tmp_path)
        expected = {"cpu": "not readable", "cpu_model": "- - -", "microcode": "not readable"}
        assert found == expected


def refused(*given: Any, **named: Any) -> Any:
    raise psutil.AccessDenied


def test_a_machine_that_hides_everything_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cpu_count", "virtual_memory"):
        monkeypatch.setattr(psutil, name, refused)
    monkeypatch.setattr("platform.platform", refused)
    found = environment.machine.__wrapped__()
    assert found["system"] == "not readable"
    assert [found[name] for name in ("cores", "logical_cores", "memory_bytes")] == [None] * 3


class Waiting:
    """A worker that only waits."""

    ending = None

    def turn(self) -> bool:
        return True


def test_a_worker_whose_times_are_hidden_was_idle_as_far_as_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hidden at either end, it is no 9 seconds of work."""
    seen: list[float | None] = [None, 9.0, 9.0, None, 9.0, 9.5, None]
    monkeypatch.setattr(turns, "_processor_seconds", lambda worker: seen.pop(0))
    worker: Any = Waiting()
    counted = Turns([worker], 0)
    for _ in range(4):
        counted.round([worker])
    assert seen == []  # each wait of three has a beginning and an end
    used, waited = counted._idle[worker]
    assert used == 0.5
    assert waited > 0
    monkeypatch.undo()
    monkeypatch.setattr(psutil, "Process", refused)
    assert turns._processor_seconds(SimpleNamespace(pid=os.getpid())) is None  # type: ignore[arg-type]


def test_a_limit_of_memory_below_ours_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``ulimit -d`` sets one."""
    given: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, 100))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: given.append(limits))
    memory.limit(1 << 30)
    memory.limit(50)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, resource.RLIM_INFINITY))
    memory.limit(1 << 30)
    assert given == [(100, 100), (50, 100), (1 << 30, resource.RLIM_INFINITY)]
