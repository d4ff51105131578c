"""Runs on a real Ray cluster on this machine, whose processes are killed meanwhile.

TETRAGRAD_KILLS says in how many sessions something is killed (none): on a quiet machine a small
session may end before its node is killed, on a busy one Ray may not start.
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.suite.command import in_process, start, wait_for
from tests.suite.stored import kept, tracked

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's and MLflow's own, not ours
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None,
        reason="Ray is not installed; pip install 'tetragrad[cluster]'",
    ),
]
KILLS = int(os.environ.get("TETRAGRAD_KILLS", "0"))
SEEDS = 3
RUN = (
    *("run", "--cluster", "local:2", "--task", "perceptron", "--backend", "numpy"),
    *("--profile", "smoke", "--timing-limit", "0", "--seeds", str(SEEDS)),
)
KILLED = ("node", "worker", "driver", "head")
NAMES = {f"perceptron-rule-numpy-eager-cpu-float32-seed{seed}" for seed in range(SEEDS)}


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path) -> Path:
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results")
    return tmp_path


def begin(folder: Path) -> Any:
    """A session whose nodes are there; skipped where Ray cannot start them for want of time."""
    for _ in range(3):
        driver = start(folder, *RUN)
        said = ""
        for line in driver.stderr or ():
            said += line
            if "further nodes join" in line:
                return driver
        driver.communicate()
        assert "cannot be started here" in said
    pytest.skip("this machine is too busy for Ray to start its processes")


def processes(driver: Any, pattern: str) -> list[psutil.Process]:
    """Processes below a driver's whose command line has that, in the order of their start."""
    there = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if re.search(pattern, " ".join(process.cmdline())):
                there.append(process)
        except psutil.NoSuchProcess:
            continue
    return sorted(there, key=lambda process: process.create_time())


def kill(driver: Any, kind: str) -> None:
    """Kills one of the processes that a session needs; of a node, all but itself must see it."""
    if kind == "driver":
        driver.kill()
    elif kind == "worker":  # Ray's, for which a comparison runs
        running = processes(driver, "suite.fleet.node work")
        if running:
            running[-1].parent().kill()  # type: ignore[union-attr]
    elif kind == "node":
        processes(driver, "/raylet/raylet ")[-1].kill()
    else:
        processes(driver, "/gcs_server ")[0].kill()


def check(folder: Path) -> None:
    """Every record is there once, in the results and in MLflow, and good."""
    there = kept(folder)
    assert {name.partition("/")[2] for name in there} == NAMES
    assert {record.outcome for record in there.values()} == {"ok"}
    assert all(record.verified and record.machine["cpu"] for record in there.values())
    assert tracked(folder, "perceptron") == Counter(there.keys())


def test_every_record_is_home_once(folder: Path) -> None:
    driver = begin(folder)
    stdout, stderr = driver.communicate(timeout=300)
    assert driver.returncode == 0, stderr
    assert "raylet" not in stdout + stderr  # Ray tells more than is asked for
    check(folder)
    timings = {path.stem for path in (folder / "results" / "timings").glob("*/*.json")}
    assert timings == {"perceptron-rule"}


@pytest.mark.skipif(not KILLS, reason="TETRAGRAD_KILLS=1 kills a worker and a node")
def test_a_worker_and_a_node_that_are_killed_cost_no_record_and_double_none(folder: Path) -> None:
    driver = begin(folder)
    wait_for(driver, r"local-2: \w.*, seed \d")
    kill(driver, "worker")
    wait_for(driver, r"local-2: \w.*, seed \d")
    kill(driver, "node")
    stdout, stderr = driver.communicate(timeout=600)
    assert driver.returncode == 0, stderr
    assert "local-2 is gone" in stderr
    assert "raylet" not in stdout + stderr  # Ray tells all it knows of a node that dies
    check(folder)
    timings = {path.stem for path in (folder / "results" / "timings").glob("*/*.json")}
    assert timings == {"perceptron-rule"}


@pytest.mark.parametrize("number", range(KILLS - 1))
def test_whatever_is_killed_at_a_random_moment(folder: Path, number: int) -> None:
    dice = random.Random(number)
    kind = (*KILLED, "nothing, but interrupted")[number % 5]
    driver = begin(folder)
    wait_for(driver, r"local-1: \w.*")
    time.sleep(dice.uniform(0, 15))
    if driver.poll() is None:
        kill(driver, kind) if kind in KILLED else driver.send_signal(signal.SIGINT)
    _, stderr = driver.communicate(timeout=600)
    assert "Traceback" not in stderr
    if driver.returncode:
        (plan,) = (folder / "results" / "sessions").glob("*.json")
        done = in_process(folder, "run", "--resume", plan.stem)
        assert done.returncode == 0, done.stderr
    check(folder)
