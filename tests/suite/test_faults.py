"""Faults while a session runs, done for real: processes are killed, disks full, servers hang.

TETRAGRAD_KILLS says how often the session's own process is killed at a random moment (twice).
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from suite.records import record as records
from suite.session.process import Worker
from tests.suite.command import assert_refused, in_process, start, tetragrad, wait_for
from tests.suite.examples import CELL
from tests.suite.stored import kept, tracked

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours
KILLS = int(os.environ.get("TETRAGRAD_KILLS", "2"))
SMOKE = (
    *("run", "--task", "fashion_mlp", "--backend", "numpy", "--profile", "smoke"),
    *("--data", "generated", "--timing-limit", "0"),
)
ALONE = ("--tracking", "none")


@pytest.fixture
def folder(proved: Path, empty_store: Path) -> Path:
    """Where sessions begin that neither verify nor make a store."""
    shutil.copy(empty_store, proved / "results")
    return proved


def session_of(folder: Path) -> str:
    (plan,) = (folder / "results" / "sessions").glob("*.json")
    return plan.stem


class TestMemory:
    def test_a_worker_beyond_its_limit_costs_only_its_cell(self, folder: Path) -> None:
        done = in_process(folder, *SMOKE, *ALONE, "--memory-limit", "100M", "--json")
        assert done.returncode == 1
        (cell,) = json.loads(done.stdout)["cells"]
        assert cell["outcome"] == "out-of-memory"
        assert "MemoryError" in cell["reason"]

    def test_a_framework_that_dies_of_it_has_the_same_outcome(self) -> None:
        """At this limit PyTorch ends in an abort, of which the worker can tell nothing."""
        cell = replace(CELL, backend="torch", profile="smoke")
        with Worker(cell, "train", memory_limit=100 << 20) as worker:
            while worker.turn():
                pass
        assert worker.ending
        assert worker.ending.outcome == "out-of-memory", worker.ending

    @pytest.mark.parametrize("size", ["100", "0M", "-1G", "1T", "G"])
    def test_what_is_no_size_is_refused(self, tmp_path: Path, size: str) -> None:
        done = in_process(tmp_path, *SMOKE, f"--memory-limit={size}")
        assert_refused(done, f"--memory-limit {size} is no size", "512M")


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 8 MB at ``folder``."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class TestResultsThatCannotBeWritten:
    """Half-way, after the first of two cells; and then they can be again."""

    def check(self, folder: Path, spoil: Callable[[], None], mend: Callable[[], None]) -> None:
        process = start(folder, *SMOKE, *ALONE, "--seeds", "2")
        wait_for(process, "seed0: ok")
        spoil()
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == 1, stderr
        (line,) = [line for line in stderr.splitlines() if "cannot be written" in line]
        session = re.search(r"tetragrad run --resume (\S+)`", line)
        assert session
        assert "Traceback" not in stderr
        assert "fashion_mlp" in stdout  # the table of what there is
        mend()
        before = kept(folder)
        assert [r.outcome for r in before.values()][:1] == ["ok"]
        done = in_process(folder, "run", "--resume", session[1], *ALONE, "--json")
        assert done.returncode == 0, done.stderr
        cells = json.loads(done.stdout)["cells"]
        assert [(c["seed"], c["outcome"]) for c in cells] == [(0, "ok"), (1, "ok")]
        after = kept(folder)
        assert len(after) == 2
        for name, record in before.items():
            if record.outcome == "ok":
                assert after[name] == record
        assert not list((folder / "results").rglob("*.tmp"))

    def test_a_folder_that_is_gone(self, folder: Path) -> None:
        results = folder / "results"

        def spoil() -> None:
            (results / "records").rename(results / "away")
            (results / "records").write_text("a file where the folder should be")

        def mend() -> None:
            (results / "records").unlink()
            (results / "away").rename(results / "records")

        self.check(folder, spoil, mend)

    def test_a_disk_that_is_full(self, tmp_path: Path, verdicts: Path) -> None:
        results = tmp_path / "results"
        with small_disk(results):
            shutil.copytree(verdicts, results / "verified")
            filler = results / "filler"

            def spoil() -> None:
                with suppress(OSError), filler.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(1 << 12))

            self.check(tmp_path, spoil, filler.unlink)

    def test_a_disk_that_is_read_only_is_refused_at_once(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "results"):
            remount = ["mount", "-o", "remount,ro", str(tmp_path / "results")]
            subprocess.run(remount, check=True)
            done = in_process(tmp_path, *SMOKE)
        assert_refused(done, "results cannot be written (Read-only file system)", "--results")


class TestTwoSessions:
    def test_at_once_each_is_tracked_once(self, folder: Path) -> None:
        """The store is not there yet: both would make it."""
        (folder / "results" / "mlflow.db").unlink()
        processes = [start(folder, *SMOKE, "--first-seed", str(seed)) for seed in (0, 1)]
        for process in processes:
            _, stderr = process.communicate(timeout=300)
            assert process.returncode == 0, stderr
            assert "not tracked" not in stderr
        found = kept(folder)
        assert len(found) == 2
        assert tracked(folder) == Counter(found.keys())

    def test_one_that_runs_cannot_be_resumed(self, folder: Path) -> None:
        process = start(folder, *SMOKE, *ALONE)
        wait_for(process, r"^\[1/1\] fashion_mlp, seed 0 \.\.\.$")
        process.send_signal(signal.SIGSTOP)  # or it may be done before it is asked about
        done = in_process(folder, "run", "--resume", session_of(folder))
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=300)
        assert_refused(done, "is still running")


class TestMoving:
    def test_a_session_without_mlflow_is_brought_home(
        self, folder: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """On one machine without MLflow, then by its folder alone to another."""
        (folder / "sitecustomize.py").write_text("import sys; sys.modules['mlflow'] = None")
        done = tetragrad(
            folder,
            *SMOKE,
            *ALONE,
            PYTHONPATH=str(folder),
        )
        assert done.returncode == 0, done.stderr
        assert "not tracked" not in done.stderr
        (name,) = kept(folder)
        session = name.partition("/")[0]
        home = tmp_path_factory.mktemp("home")
        (home / "results").mkdir()
        shutil.copy(empty_store, home / "results")
        shutil.copytree(folder / "results" / "records" / session, home / "stick")
        assert_refused(in_process(home, "sync", "stick", *ALONE), "--tracking none")
        done = in_process(home, "sync", "stick")
        assert done.stdout == "1 brought to results\n1 sent, 0 already there\n", done.stderr
        assert kept(home) == kept(folder)
        assert tracked(home) == Counter([name])
        again = in_process(home, "sync", "stick")
        assert again.stdout == "0 brought to results\n0 sent, 1 already there\n"


class TestSecrets:
    def test_those_of_an_address_are_nowhere(
        self, folder: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Neither in what is printed nor in what is written, the report included."""
        address = "http://me:hunter2@127.0.0.1:9/?token=hunter2"
        secret = {"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        done = tetragrad(folder, *SMOKE, **secret)
        assert "not tracked" in done.stderr
        printed = [done.stdout, done.stderr]
        for command in (("report",), ("sync",)):
            done = in_process(folder, *command, **secret)
            assert "Traceback" not in done.stderr
            printed += [done.stdout, done.stderr, *capfd.readouterr()]
        assert "***" in "".join(printed)
        assert "hunter2" not in "".join(printed)
        written = [path for path in folder.rglob("*") if path.is_file()]
        assert any(path.name == "report.html" for path in written)
        assert [path for path in written if b"hunter2" in path.read_bytes()] == []


class TestCtrlC:
    def test_twice_stops_now(self, folder: Path) -> None:
        """The first while a tracking server hangs, for which the session would wait."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"http://127.0.0.1:{server.getsockname()[1]}"
            process = start(folder, *SMOKE, "--seeds", "2", "--tracking", address)
            wait_for(process, "seed0: ok")
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            time.sleep(1)
            assert process.poll() is None  # it still records
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=10)
        assert process.returncode == 130
        assert "Traceback" not in stderr
        (record,) = kept(folder).values()
        assert record.outcome == "ok"


class TestResume:
    def test_a_cell_goes_on_from_its_checkpoint(self, folder: Path) -> None:
        """The session's process is killed in the middle of it."""
        process = start(
            folder,
            *("run", "--task", "fashion_mlp", "--backend", "numpy", "--data", "generated"),
            *("--profile", "full", "--timing-limit", "0", "--checkpoint-every", "0.2", *ALONE),
        )
        wait_for(process, "epoch 2/5")
        process.kill()
        process.communicate()
        session = session_of(folder)
        assert kept(folder) == {}
        checkpoints = folder / "results" / "checkpoints" / session
        assert [path.suffix for path in checkpoints.iterdir()] == [".npz"]
        done = in_process(folder, "run", "--resume", session, *ALONE, "--json")
        assert done.returncode == 0, done.stderr
        (record,) = kept(folder).values()
        assert record.resumed
        assert record.resumed >= 468
        assert [len(record.chunks), len(record.epochs)] == [45, 5]
        assert not checkpoints.exists()
        again = in_process(folder, "run", "--resume", session, *ALONE)
        assert "kept from before" in again.stderr
        assert list(kept(folder).values()) == [record]

    def test_what_does_not_hold_is_run_again(self, folder: Path) -> None:
        done = in_process(folder, *SMOKE, *ALONE, "--seeds", "2")
        assert done.returncode == 0, done.stderr
        paths = list(records.all_paths(folder / "results"))
        first, second = map(records.read, paths)
        records.write(folder / "results", replace(second, packages={"numpy": "0.0"}))
        done = in_process(folder, "run", "--resume", session_of(folder), *ALONE)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("kept from before") == 1
        assert records.read(paths[0]) == first
        assert records.read(paths[1]).packages == second.packages
        assert records.read(paths[1]).created > second.created

    def test_requests_that_cannot_be_met(self, folder: Path) -> None:
        done = in_process(folder, "run", "--resume", "20200101-000000-abcd")
        assert_refused(done, "no session '20200101-000000-abcd'", "none")
        plans = folder / "results" / "sessions"
        plans.mkdir()
        (plans / "s1.json").write_text("{}")
        assert_refused(in_process(folder, "run", "--resume", "s1"), "s1.json is not the plan")
        done = in_process(folder, "run", "--resume", "../s1")
        assert_refused(done, "no session '../s1'")


class TestPowerLoss:
    def test_after_kills_at_random_moments_every_finished_cell_is_there_once(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        moments = random.Random(KILLS)
        told: set[str] = set()
        begin = time.monotonic()
        assert tetragrad(folder, *SMOKE, "--seeds", "2").returncode == 0
        lasts = time.monotonic() - begin
        for _ in range(KILLS):
            before = {p.stem for p in (folder / "results" / "sessions").glob("*.json")}
            process = start(folder, *SMOKE, "--seeds", "2")
            timer = threading.Timer(moments.uniform(0.1, 1.6) * lasts, process.kill)
            timer.start()
            _, stderr = process.communicate(timeout=300)
            timer.cancel()
            new = {p.stem for p in (folder / "results" / "sessions").glob("*.json")} - before
            told |= {
                f"{session}/{label}"
                for session in new
                for label in re.findall(r"^(\S+seed\d): ok", stderr, re.MULTILINE)
            }
        found = kept(folder)
        assert told <= found.keys()
        assert all(record.outcome == "ok" for record in found.values())
        at_death = tracked(folder)
        assert set(at_death.values()) == {1}
        done = in_process(folder, "sync")
        assert done.returncode == 0, done.stderr
        assert tracked(folder) == Counter(found.keys())
        assert in_process(folder, "sync").stdout == f"0 sent, {len(found)} already there\n"
        sessions = Counter(name.partition("/")[0] for name in found)
        with capsys.disabled():
            print(
                f"\n{KILLS} kills: cells finished in {len(sessions) - 1} of the sessions, "
                f"{len(found) - 2} in all, {len(told)} of them told; {len(at_death) - 2} were in "
                f"MLflow, {len(found) - len(at_death)} came by sync; "
                f"{sum(n == 2 for n in sessions.values()) - 1} sessions had ended"
            )
