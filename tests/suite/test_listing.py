"""``tetragrad list``: what it starts, what it says of each backend, and its document."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

import backends
import tasks
from suite.records.events import Outcome
from suite.session import probe
from suite.session.process import Ending
from suite.show import listing
from suite.system import devices
from tests.suite.command import in_process

REASON = "has no device 'cuda' here: it was built without"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The processes that were started, in place of which there are these answers."""
    found: list[tuple[str, str]] = []

    def probed(name: str, device: str) -> Any:
        found.append((name, device))
        if device == devices.CPU:
            return Ending(Outcome.OK, None), {"devices": ["cpu"]}
        return Ending(Outcome.SKIPPED, f"{name} {REASON}"), {}

    monkeypatch.setattr(probe, "probe", probed)
    monkeypatch.setattr(devices, "no_card", lambda: "no card here")
    return found


def test_without_a_card_each_backend_is_asked_once(asked: list[tuple[str, str]]) -> None:
    listing.every_mode()
    assert sorted(asked) == sorted((name, "cpu") for name in backends.names())


def test_they_are_asked_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    all_of_them = threading.Barrier(len(backends.names()), timeout=30)

    def probed(name: str, device: str) -> Any:
        all_of_them.wait()
        return Ending(Outcome.OK, None), {"devices": ["cpu"]}

    monkeypatch.setattr(probe, "probe", probed)
    monkeypatch.setattr(devices, "no_card", lambda: "no card here")
    assert {mode.backend for mode in listing.every_mode()} == {*backends.names()}


def test_a_card_s_process_shows_the_processor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def probed(name: str, device: str) -> Any:
        assert device == devices.CUDA
        return Ending(Outcome.OK, None), {"devices": ["cpu", "cuda:0"]}

    monkeypatch.setattr(probe, "probe", probed)
    monkeypatch.setattr(devices, "no_card", lambda: None)
    (mode,) = listing.backend("numpy")
    assert (mode.devices, mode.no_cuda) == (("cpu", "cuda:0"), None)


@pytest.mark.parametrize("card", ["nvidia0", "kfd", "dxg"])
def test_a_card_is_a_file(card: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(devices, "DEVICES", tmp_path)
    (tmp_path / "nvidiactl").touch()  # of the driver, whether or not there is a card
    assert "there is no" in str(devices.no_card())
    (tmp_path / card).touch()
    assert devices.no_card() is None
    (tmp_path / card).unlink()
    monkeypatch.setattr("sys.platform", "darwin")
    assert devices.no_card() is None  # nobody knows


def test_what_is_available_has_no_reason_beside_it(
    asked: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "no_card", lambda: None)
    absent = "JAX is not installed: pip install 'tetragrad[jax]'"
    monkeypatch.setattr(backends.load("jax"), "available", lambda mode="": absent)
    lines = in_process(tmp_path, "list", COLUMNS="80").stdout.splitlines()
    rows = [line.split() for line in lines if line.startswith((" numpy", " torch", " jax"))]
    said = {(row[0], row[2]): row[3:5] for row in rows}
    assert said["numpy", "eager"] == ["cpu", "yes"]
    assert said["torch", "eager"] == ["cpu", "yes"]
    assert said["torch", "graph"] == ["-", "no"]
    assert said["jax", "jit"] == ["-", "no"]
    assert f"jax:jit is not available: {absent}" in lines  # whole, however long it is
    assert f"torch:graph is not available: cuda alone: torch {REASON}" in lines
    assert f"no cuda for numpy: numpy {REASON}" in lines
    assert not any(line.startswith("no cuda for jax") for line in lines)


def test_the_document_is_all_there_is_on_standard_output(
    asked: list[tuple[str, str]], tmp_path: Path
) -> None:
    done = in_process(tmp_path, "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert [one["task"] for one in document["tasks"]] == list(tasks.names())
    (imdb,) = (one for one in document["tasks"] if one["task"] == "imdb_text")
    assert (imdb["data_set"], imdb["variants"][0]) == ("imdb", "bow")
    assert imdb["profiles"] == list(tasks.PROFILES)
    modes = {(one["backend"], one["mode"]): one for one in document["backends"]}
    assert [*modes] == [(b, m) for b in backends.names() for m in backends.load(b).MODES]
    numpy, graph = modes["numpy", "eager"], modes["torch", "graph"]
    assert (numpy["available"], numpy["devices"], numpy["reason"]) == (True, ["cpu"], None)
    assert numpy["version"]
    assert (graph["available"], graph["devices"]) == (False, [])
    assert graph["reason"] == "cuda alone: no card here"
