"""Devices: what is refused, what is absent, and that no program computes elsewhere in silence."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import backends
from suite.records import differences, record as records
from suite.records.cell import where
from suite.records.events import Event
from suite.session import probe
from suite.session.process import Ending, launch
from suite.system import devices
from suite.system.environment import worker_environment
from tasks.task import RequestError
from tests.suite.command import assert_refused, in_process
from tests.suite.examples import CELL, example_record

NO_CARD = {"CUDA_VISIBLE_DEVICES": ""}
SMOKE = ("--task", "fashion_mlp", "--profile", "smoke", "--data", "generated")


@pytest.mark.parametrize("known", ["cpu", "cuda", "cuda:0", "cuda:12", "auto"])
def test_a_device_that_is_known(known: str) -> None:
    assert devices.parse(known) == known


@pytest.mark.parametrize("unknown", ["gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "", "cpu:0"])
def test_a_device_that_is_not(unknown: str) -> None:
    with pytest.raises(RequestError, match="cpu, cuda, cuda:N or auto"):
        devices.parse(unknown)


@pytest.mark.parametrize("command", ["run", "time", "verify", "compare", "check", "baseline"])
def test_every_command_refuses_it(tmp_path: Path, command: str) -> None:
    words = (command, *(["update"] if command == "baseline" else []))
    assert_refused(in_process(tmp_path, *words, "--device", "tpu"), "tpu", "cuda:N")
    if command in ("check", "baseline"):
        assert_refused(in_process(tmp_path, *words, "--device", "auto"), "give cpu or cuda")


class TestCards:
    def seen(self, device: str) -> str | None:
        return worker_environment("numpy", device, 1).get("CUDA_VISIBLE_DEVICES")

    def test_on_the_cpu_a_worker_sees_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        assert self.seen("cpu") == ""

    def test_a_numbered_one_is_all_that_it_sees(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert (self.seen("cuda"), self.seen("cuda:2")) == (None, "2")
        assert worker_environment("torch", "cuda:2", 1)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"

    def test_it_is_counted_among_those_that_the_caller_sees(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-7")
        found = [self.seen(device) for device in ("cuda", "cuda:0", "cuda:1", "cuda:2")]
        assert found == ["4,GPU-7", "4", "GPU-7", ""]

    def test_backends_are_told_the_kind_alone(self) -> None:
        assert worker_environment("jax", "cuda:3", 1)["JAX_PLATFORMS"] == "cuda"


def test_a_backend_for_the_cpu_alone_is_not_tried_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def launched(*_: Any, **__: Any) -> Ending:
        raise AssertionError("it was tried")

    monkeypatch.setattr(probe, "launch", launched)
    monkeypatch.setattr(probe, "_has_cuda", probe._has_cuda.__wrapped__)
    with pytest.raises(AssertionError, match="it was tried"):
        probe.chosen("numpy", "auto")
    monkeypatch.setattr(backends.load("numpy"), "DEVICES", ("cpu",))
    assert probe.chosen("numpy", "auto") == "cpu"
    assert probe.probe("numpy", "cuda:1")[0].reason == "NumPy computes on cpu alone"


def test_what_was_used_is_what_was_read() -> None:
    assert devices.used("cuda", "cuda:0") == "cuda:0"
    assert devices.used("cuda:3", "cuda:0") == "cuda:3"  # it sees no other
    with pytest.raises(devices.WrongDevice, match=r"asked for cuda:3, .* lies on cpu"):
        devices.used("cuda:3", "cpu")


def test_cells_on_several_devices_say_so() -> None:
    torch = replace(CELL, backend="torch", device="cuda")
    assert where([CELL, CELL]) == "cpu"
    assert where([CELL, torch]) == "cpu (numpy:eager), cuda (torch:eager)"
    found = [
        replace(example_record(), cell=cell, worker={"device": device})
        for cell, device in ((CELL, "cpu"), (torch, "cuda:0"))
    ]
    (difference,) = differences.differences(found)
    assert str(difference) == "device: cpu (numpy:eager); cuda:0 (torch:eager)"


SILENT = """
import backends.numpy, suite.worker.main
backends.numpy.configure = lambda *given: None
suite.worker.main.main()
"""
"""A backend that computes on the CPU, whatever it is asked for."""


def worker_that(tmp_path: Path, body: str, kind: str, **job: Any) -> tuple[Ending, list[Event]]:
    script = tmp_path / "worker.py"
    script.write_text(body)
    cell = replace(CELL, device="cuda", profile="smoke")
    events: list[Event] = []
    return launch(cell, kind, events.append, command=(sys.executable, str(script)), **job), events


@pytest.mark.parametrize("kind", ["train", "time", "trace"])
def test_a_silent_run_on_the_cpu_is_a_crash(tmp_path: Path, kind: str) -> None:
    job = {"ends": [1], "output": str(tmp_path / "found.npz")} if kind == "trace" else {}
    ending, events = worker_that(tmp_path, SILENT, kind, **job)
    assert ending.outcome == "crashed"
    assert ending.reason == "WrongDevice: asked for cuda, but what was trained lies on cpu"
    assert not {"chunk", "further"} & {event.event for event in events}
    assert not (tmp_path / "found.npz").exists()


class TestAbsent:
    @pytest.fixture(scope="class")
    @staticmethod
    def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
        """Three backends on a card that is not there."""
        folder = tmp_path_factory.mktemp("absent")
        wanted = ("--backend", "numpy", "--backend", "torch", "--backend", "jax")
        asked = (*SMOKE, *wanted, "--device", "cuda:1", "--tracking", "none", "--json")
        return folder, in_process(folder, "run", *asked, **NO_CARD)

    def test_it_is_skipped_with_a_reason(self, run: tuple[Path, Any]) -> None:
        folder, done = run
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        cells = {cell["backend"]: cell for cell in json.loads(done.stdout)["cells"]}
        assert {cell["outcome"] for cell in cells.values()} == {"skipped"}
        assert {cell["device"] for cell in cells.values()} == {"cuda:1"}
        assert "CuPy" in cells["numpy"]["reason"]
        assert "PyTorch has no device 'cuda' here" in cells["torch"]["reason"]
        assert "JAX has no device 'cuda' here" in cells["jax"]["reason"]
        kept = [records.read(path) for path in records.all_paths(folder / "results")]
        assert [(r.outcome, r.chunks, r.worker) for r in kept] == [("skipped", [], {})] * 3

    def test_auto_goes_to_the_cpu_and_the_record_says_so(self, proved: Path) -> None:
        asked = (*SMOKE, "--backend", "numpy", "--device", "auto", "--tracking", "none", "--json")
        done = in_process(proved, "run", *asked, "--timing-limit", "0", **NO_CARD)
        assert done.returncode == 0, done.stderr
        (cell,) = json.loads(done.stdout)["cells"]
        assert (cell["outcome"], cell["device"], cell["verified"]) == ("ok", "cpu", True)
        (kept,) = (records.read(path) for path in records.all_paths(proved / "results"))
        assert kept.worker["device"] == "cpu"

    def test_the_list_says_what_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where there may be a card, each backend is asked for it."""
        monkeypatch.setattr(devices, "no_card", lambda: None)
        monkeypatch.setattr(backends, "names", lambda: ("numpy", "torch"))
        done = in_process(tmp_path, "list", COLUMNS="250", **NO_CARD)
        assert done.returncode == 0, done.stderr
        for words in ("no cuda for numpy: NumPy has no", "no cuda for torch: PyTorch has no"):
            assert words in done.stdout
        assert re.search(r"torch\W+[\d.]+\S*\W+eager\W+cpu", done.stdout)
