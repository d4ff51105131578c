"""Workers that misbehave in every way end in the outcome that says so, and leave nothing behind."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from suite.records.events import Described, Event
from suite.session.process import Ending, Worker, launch, launch_all
from suite.session.turns import Turns
from tests.suite.examples import CELL

SCRIPT = """
import json, os, sys, time, signal
channel = os.fdopen(int(sys.argv[1]), "w", buffering=1)
def send(**event): channel.write(json.dumps(event) + "\\n")
def tell(**seen): send(event="described", worker=seen)
job = json.loads(sys.stdin.readline())
"""


def worker_that(tmp_path: Path, body: str) -> Worker:
    """A worker that does ``body``, turn by turn."""
    script = tmp_path / "worker.py"
    script.write_text(SCRIPT + body)
    return Worker(CELL, "train", command=(sys.executable, str(script)))


def run(tmp_path: Path, body: str, **options: Any) -> tuple[Ending, list[Event]]:
    """Launches a worker that does ``body``."""
    script = tmp_path / "worker.py"
    script.write_text(SCRIPT + body)
    events: list[Event] = []
    ending = launch(CELL, "train", events.append, command=(sys.executable, str(script)), **options)
    return ending, events


def told(event: Event) -> dict[str, Any]:
    """Facts that a worker told with ``tell``."""
    assert isinstance(event, Described)
    return event.worker


OK = 'send(event="ended", outcome="ok", reason=None)\n'


def test_it_is_told_its_cell_and_what_it_prints_cannot_corrupt_its_events(tmp_path: Path) -> None:
    body = """
tell(backend=job["cell"]["backend"], threads=os.environ["OMP_NUM_THREADS"])
print('{"event": "ended", "outcome": "crashed"}')
sys.stderr.write("noise\\n")
os.write(1, b"\\xff")
"""
    ending, events = run(tmp_path, body + OK)
    assert (ending.outcome, ending.reason) == ("ok", None)
    assert told(events[0]) == {"backend": "numpy", "threads": "1"}
    assert "noise" in ending.stderr


def test_the_environment_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "XLA_FLAGS", "PYTHONMALLOC", "A_SWITCH_OF_NEXT_YEAR"):
        monkeypatch.setenv(name, "17")
    ending, events = run(tmp_path, "tell(env=dict(os.environ))\n" + OK)
    assert ending.outcome == "ok"
    seen = told(events[0])["env"]
    assert "17" not in seen.values()
    assert seen["OPENBLAS_NUM_THREADS"] == "1"
    assert seen["CUDA_VISIBLE_DEVICES"] == ""
    assert seen["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("end", [OK, "os.kill(os.getpid(), signal.SIGKILL)"])
def test_every_worker_has_a_folder_of_its_own_for_what_it_compiles(
    tmp_path: Path, end: str
) -> None:
    body = """
import tempfile
folder = tempfile.mkdtemp()
tell(path=os.path.dirname(folder), before=len(os.listdir(os.path.dirname(folder))))
"""
    (_, one), (_, other) = (run(tmp_path, body + end) for _ in range(2))
    assert told(one[0])["path"] != told(other[0])["path"]
    assert told(one[0])["before"] == told(other[0])["before"] == 1  # what it made itself
    assert not Path(told(one[0])["path"]).exists()


@pytest.mark.parametrize(
    ("body", "outcome", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "crashed", "killed by SIGKILL"),
        ("os.abort()", "crashed", "killed by SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 1)", "crashed", "killed by signal 35"),
        ("sys.exit(3)", "crashed", "exit code 3"),
        ("raise ValueError('boom')", "crashed", "exit code 1"),
        ('channel.write(\'{"event": "chu\'); channel.flush(); os._exit(0)', "crashed", "no word"),
        (
            'send(event="ended", outcome="skipped", reason="no device"); os._exit(0)',
            "skipped",
            "no device",
        ),
    ],
)
def test_every_way_to_die_has_its_outcome(
    tmp_path: Path, body: str, outcome: str, reason: str
) -> None:
    ending, _ = run(tmp_path, body)
    assert ending.outcome == outcome
    assert reason in str(ending.reason)


@pytest.mark.parametrize(
    ("called", "error"),
    [
        ("subprocess.Popen", BlockingIOError(11, "Resource temporarily unavailable")),
        ("subprocess.Popen", OSError(12, "Cannot allocate memory")),
        ("tempfile.TemporaryFile", OSError(28, "No space left on device")),
        ("tempfile.TemporaryDirectory", PermissionError(13, "Permission denied")),
        ("os.pipe", OSError(24, "Too many open files")),
    ],
)
def test_one_that_cannot_be_started_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, error: OSError
) -> None:
    def refuse(*given: Any, **named: Any) -> Any:
        raise error

    files = psutil.Process().num_fds()
    monkeypatch.setattr(f"suite.session.process.{called}", refuse)
    with worker_that(tmp_path, OK) as worker:
        assert worker.pid is None
        assert not worker.turn()
        turns = Turns([worker], 0)
        assert turns.alive == []
        turns.begin()
        turns.round([worker])
        turns.dismiss()
        worker.kill()
    assert worker.ending
    assert worker.ending.outcome == "crashed"
    assert worker.ending.reason == f"the worker cannot be started: {error.strerror}"
    monkeypatch.undo()
    assert psutil.Process().num_fds() == files  # nothing is left open


def test_the_end_of_what_it_printed_is_kept(tmp_path: Path) -> None:
    ending, _ = run(tmp_path, "print('x' * 10_000); raise ValueError('the cause')")
    assert ending.stderr.rstrip().endswith("ValueError: the cause")
    assert len(ending.stderr) == 4_000


def alive(pids: list[int]) -> list[int]:
    """Those that still run; a process that was killed takes a moment to go."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, left = psutil.wait_procs(processes, timeout=5)
    return [p.pid for p in left if p.status() != psutil.STATUS_ZOMBIE]


CHILD = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
tell(pids=[os.getpid(), child.pid])
"""


def test_a_worker_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + CHILD + "time.sleep(600)"
    begin = time.monotonic()
    ending, events = run(tmp_path, body, timeout=1.5)
    assert (ending.outcome, ending.reason) == ("timeout", "not done after 1.5 s")
    assert time.monotonic() - begin < 10
    assert not alive(told(events[0])["pids"])


def test_children_that_outlive_a_worker_are_stopped(tmp_path: Path) -> None:
    ending, events = run(tmp_path, CHILD + OK + "os._exit(0)")
    assert ending.outcome == "ok"
    assert not alive(told(events[0])["pids"])


def test_ctrl_c_ends_the_worker_and_says_interrupted(tmp_path: Path) -> None:
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    ending, events = run(tmp_path, CHILD + "time.sleep(600)")
    assert ending.outcome == "interrupted"
    assert not alive(told(events[0])["pids"])


def test_a_worker_whose_parent_is_gone_ends(tmp_path: Path) -> None:
    """The real worker: its first event meets a closed channel."""
    import json
    import subprocess
    from dataclasses import asdict, replace

    reading, writing = os.pipe()
    cell = replace(CELL, profile="smoke")
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "suite.worker", str(writing)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(writing,),
    )
    os.close(reading)
    os.close(writing)
    job = json.dumps({"kind": "train", "cell": asdict(cell)}).encode()
    _, printed = worker.communicate(job, timeout=60)
    assert worker.returncode == 1
    assert b"Traceback" not in printed, printed  # as any other error has it, with the same code


def test_memory_that_runs_out_has_its_outcome(tmp_path: Path) -> None:
    """The real worker under a limit of the system's, in which the data does not fit."""
    body = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (220 * 2**20,) * 2)
import io, suite.worker.main
sys.stdin = io.StringIO(json.dumps(job))
suite.worker.main.main()
"""
    ending, _ = run(tmp_path, body)
    assert ending.outcome == "out-of-memory", ending


def test_a_loss_that_is_no_number_has_its_outcome_and_step(tmp_path: Path) -> None:
    """The real worker, on a task whose learning rate is absurd."""
    body = """
import dataclasses, io, tasks.fashion_mlp, suite.worker.main
profiles = tasks.fashion_mlp.PROFILES
absurd = dataclasses.replace(profiles["smoke"].optimizer, learning_rate=1e30)
profiles["quick"] = dataclasses.replace(profiles["smoke"], optimizer=absurd)
sys.stdin = io.StringIO(json.dumps(job) + "\\ngo" * 9)
suite.worker.main.main()
"""
    with worker_that(tmp_path, body) as worker:
        while worker.turn():
            pass
    assert worker.ending
    assert worker.ending.outcome == "diverged", worker.ending
    assert re.fullmatch(r"the loss is (nan|inf) at step [2-9]", str(worker.ending.reason))


def test_the_peak_of_memory_is_the_workers_own_however_large_its_parent_is(tmp_path: Path) -> None:
    held = np.ones(400_000_000, np.uint8)
    body = "from suite.worker.main import peak_memory\ntell(bytes=peak_memory())\n"
    _, events = run(tmp_path, body + OK)
    assert 0 < told(events[0])["bytes"] < held.nbytes


class TestSeveralAtOnce:
    def test_endings_are_in_order_and_no_more_work_at_once_than_may(self, tmp_path: Path) -> None:
        body = f"""
counted = {str(tmp_path)!r} + "/working"
open(f"{{counted}}-{{os.getpid()}}", "w").close()
at_work = sum(name.startswith("working-") for name in os.listdir({str(tmp_path)!r}))
time.sleep(job["seconds"])
os.unlink(f"{{counted}}-{{os.getpid()}}")
send(event="ended", outcome="skipped", reason=f"{{job['seconds']}} {{at_work}}")
"""
        script = tmp_path / "worker.py"
        script.write_text(SCRIPT + body)
        command = (sys.executable, str(script))
        seconds = (0.5, 0.1, 0.3, 0.1)
        workers = [Worker(CELL, "train", command=command, seconds=s) for s in seconds]
        found = [str(ending.reason).split() for ending in launch_all(workers, 2)]
        assert [float(s) for s, _ in found] == list(seconds)
        assert max(int(at_work) for _, at_work in found) == 2

    def test_an_interrupt_ends_those_at_work_and_begins_no_other(self, tmp_path: Path) -> None:
        body = f"open({str(tmp_path)!r} + f'/{{os.getpid()}}', 'w').close(); time.sleep(60)"
        workers = [worker_that(tmp_path, body) for _ in range(4)]

        def interrupt() -> None:
            while len(list(tmp_path.glob("[0-9]*"))) < 2:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            launch_all(workers, 2)
        thread.join()
        begun = [int(path.name) for path in tmp_path.glob("[0-9]*")]
        assert len(begun) == 2
        assert alive(begun) == []

    def test_an_error_of_the_listener_ends_the_others(self, tmp_path: Path) -> None:
        script = tmp_path / "worker.py"
        script.write_text(SCRIPT + "tell(pid=os.getpid()); time.sleep(60)")
        seen: list[int] = []

        def listen(event: Event) -> None:
            seen.append(told(event)["pid"])
            raise ValueError("a full disk, say")

        command = (sys.executable, str(script))
        workers = [Worker(CELL, "train", listen, command=command) for _ in range(3)]
        with pytest.raises(ValueError, match="a full disk"):
            launch_all(workers, 2)
        assert alive(seen) == []
