"""``tetragrad browse`` with a server that is a script: what is shown of it, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from suite.cli import browse
from suite.tracking import tracker as tracking, view
from tests.suite.command import assert_refused, in_process

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours
TALKATIVE = """
import pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def end(*_):
    for number in range(15):
        print("INFO: Shutting down", number, flush=True)
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
print("INFO: Started server process", flush=True)
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""


@pytest.fixture
def results(tmp_path: Path, empty_store: Path) -> Path:
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results")
    return tmp_path / "results"


def test_the_address_opens_the_view_if_the_store_has_it(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse, "serve", lambda command, environment: None)
    client = MlflowClient(tracking.default_uri(results))
    client.create_experiment("lstm")
    client.create_experiment("fashion_mlp", tags={view.TAG: "{}"})
    lines = in_process(results.parent, "browse", "--port", free_port()).stdout.splitlines()
    ends = {line.split(":")[0]: line.endswith("&viewStateShareKey=tetragrad") for line in lines[:2]}
    assert ends == {"fashion_mlp": True, "lstm": False}


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_without_the_server_s_log(
    number: signal.Signals, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pid = tmp_path / "pid"

    def interrupt() -> None:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    browse.serve([sys.executable, "-c", TALKATIVE, str(pid)], os.environ)
    assert capfd.readouterr() == ("", "")
    deadline = time.monotonic() + 10
    while alive(int(pid.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Tells if a process still runs; a zombie, whose end nobody has asked for, does not."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_one_that_ends_by_itself_is_told_in_a_line(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = "print('a line'); raise SystemExit('no mlflow at http://me:secret@host')"
    monkeypatch.setattr(browse, "SERVER", (sys.executable, "-c", fails))
    done = in_process(results.parent, "browse", "--port", free_port())
    assert done.returncode == 2
    assert done.stderr.startswith("error: MLflow's server ended with exit code 1: no mlflow at")
    assert "secret" not in done.stderr
    assert "--port" in done.stderr


def test_a_port_that_is_taken_is_said_before_anything_is_shown(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def served(*given: Any) -> None:
        raise AssertionError("it was started")

    monkeypatch.setattr(browse, "serve", served)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = in_process(results.parent, "browse", "--port", port)
        assert_refused(done, f"--port {port} cannot be had (Address already in use)")
