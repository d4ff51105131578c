"""Readings of a card, from a fake NVML: energy of training alone, power, heat, memory."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suite.records.events import Event, Finished, Started
from suite.session.process import Ending, Worker
from suite.show import cards as card_line
from suite.worker import cards
from suite.worker.clock import Clock
from tests.suite.examples import CELL, example_record
from tests.suite.fake_nvml import pynvml


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = pynvml()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_facts_and_what_a_card_cannot_say(nvml: Any) -> None:
    facts = cards.Card(None).facts()
    assert facts == {
        "name": "A card 0",
        "driver": "580.1",
        "memory_bytes": 144 * 10**9,
        "power_limit_watts": 700.0,
        "clock_max_mhz": None,
    }


def test_whatever_nvml_lacks_or_says_otherwise_costs_nothing(nvml: Any) -> None:
    """Functions come and go with its releases; old ones gave bytes for texts."""
    del nvml.nvmlDeviceGetCurrentClocksThrottleReasons, nvml.nvmlDeviceGetEnforcedPowerLimit
    nvml.nvmlSystemGetDriverVersion = lambda: b"390.1"
    nvml.nvmlDeviceGetName = lambda handle: b"\xff".decode()
    _, said = cards.clock_for("cuda")
    assert (said["card"]["name"], said["card"]["driver"]) == (None, "390.1")
    assert said["card"]["power_limit_watts"] is None
    assert cards.Card(None).readings()["reasons"] is None


@pytest.mark.parametrize(("visible", "name"), [("3", "A card 3"), ("GPU-7,1", "A card GPU-7")])
def test_it_is_the_first_that_is_visible(nvml: Any, visible: str, name: str) -> None:
    assert cards.Card(visible).facts()["name"] == name


def test_energy_is_that_of_training_alone_and_read_outside_its_time(nvml: Any) -> None:
    clock = cards.MeteredClock(cards.Card(None))
    reading = clock._card.joules
    inside: list[float] = []
    for name in ("train", "evaluate", "train", "transfer"):
        with clock.phase(name):
            inside.append(clock.seconds["train"])
    found = clock.measured()
    assert found["joules"] == 10  # two blocks, each 5 J by the fake
    assert found["watts"] == pytest.approx(10 / clock.seconds["train"])
    assert (found["celsius_max"], found["clock_mhz"]) == (61, [1980, 1980])
    assert found["slowed_by"] == ["power cap", "hardware thermal slowdown"]
    assert found["process_bytes_max"] == 3 * 10**9
    assert reading() == 20  # nothing else looked at the counter


def test_a_counter_that_is_not_there_is_no_zero(nvml: Any) -> None:
    def refused(handle: Any) -> Any:
        raise nvml.NVMLError("Not Supported")

    nvml.nvmlDeviceGetTotalEnergyConsumption = refused
    clock = cards.MeteredClock(cards.Card(None))
    with clock.phase("train"):
        pass
    assert (clock.measured()["joules"], clock.measured()["watts"]) == (None, None)


def test_without_it_training_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(cards.clock_for("cpu")[0]) is Clock
    assert cards.clock_for("cpu")[1] == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    clock, said = cards.clock_for("cuda")
    assert type(clock) is Clock
    assert "pynvml" in said["card"]["not readable"]


def test_it_is_told_by_a_million_samples(nvml: Any) -> None:
    measured = {"joules": 8.0, "watts": 350.4, "celsius_max": 61, "process_bytes_max": None}
    card = {"name": "H200", "slowed_by": ["power cap"], **measured}
    record = replace(example_record(), worker={"card": card})  # of 400 samples
    assert card_line.line(record) == (
        "numpy:eager seed 3 on H200: 2e+04 J per million samples, 350 W, at most 61 degrees "
        "Celsius, slowed by power cap"
    )
    assert card_line.line(example_record()) is None
    assert "J per" not in str(card_line.line(replace(record, resumed=6)))
    clocked = replace(record, worker={"card": card, "device_clock": 0.987})
    assert "its own clock saw 98.7% of the train seconds, slowed" in str(card_line.line(clocked))


def on_a_card(folder: Path, device_seconds: float) -> tuple[Ending, list[Event]]:
    """How a worker ended, on a card whose own clock sees so many seconds of every lap."""
    script = folder / "worker.py"
    script.write_text(f"""
import sys
from tests.suite.fake_nvml import pynvml
sys.modules["pynvml"] = pynvml()
import backends.numpy, backends.numpy.engine, suite.worker.main
backends.numpy.configure = lambda *given: None
backends.numpy.start_device_clock = lambda: lambda: {device_seconds}
backends.numpy.engine.Program.device = lambda self: "cuda:0"
suite.worker.main.main()
""")
    cell = replace(CELL, device="cuda:2", profile="smoke")
    events: list[Event] = []
    command = (sys.executable, str(script))
    with Worker(cell, "time", events.append, command=command) as worker:
        while worker.turn("go" if len(events) < 3 else "stop"):
            pass
    assert worker.ending
    return worker.ending, events


def test_a_worker_on_a_card_puts_it_into_its_ledger(tmp_path: Path) -> None:
    ending, events = on_a_card(tmp_path, 0.0)
    assert ending.outcome == "ok", ending
    (started,) = (event.worker for event in events if isinstance(event, Started))
    (finished,) = (event.worker for event in events if isinstance(event, Finished))
    assert started["card"]["name"] == "A card 2"
    assert finished["device"] == "cuda:2"
    assert finished["card"]["joules"] == 10  # of the two turns after the warm-up
    assert finished["card"]["name"] == "A card 2"
    assert finished["device_clock"] == 0


def test_a_card_that_worked_longer_than_the_clock_saw_ends_the_cell(tmp_path: Path) -> None:
    ending, _ = on_a_card(tmp_path, 60.0)
    assert ending.outcome == "crashed"
    assert "NotWaitedFor: the device worked for 60 s of training" in str(ending.reason)
