"""Commands that a session runs: each to its end or its limit, all that it prints kept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

from suite.records import record as records
from suite.records.events import Outcome
from tests.card.session import Ended
from tests.card.steps import Step

ROOT = Path(__file__).parents[2]
GRACE = 10.0
"""Seconds that a command has to keep what it has, once it is told to stop."""
LONGEST = 300
"""Characters of a reason that are kept."""


class Commands:
    """Runs commands with this Python, and what they print into the ``logs`` of ``results``."""

    def __init__(self, results: Path, grace: float = GRACE):
        self._results, self._grace = results, grace
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def __call__(self, step: Step, command: list[str], limit: float) -> Ended:
        """Implements ``Perform``. KeyboardInterrupt if all are stopped meanwhile."""
        log = self._results / "logs" / f"{re.sub(r'[^a-z0-9_]+', '-', step.name.lower())}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        before = self._sessions()
        with log.open("ab") as out:
            out.write(f"$ python {' '.join(command)}\n".encode())
            out.flush()
            code = self._run(command, out.fileno(), limit)
        new = tuple(sorted(self._sessions() - before))
        said = "; ".join(self._unwell(new)) or _last_line(log)
        return Ended(code, said[:LONGEST], new, str(log.relative_to(self._results)))

    def stop(self) -> None:
        """Ends all that run, and lets none begin."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _end(process, self._grace)

    def _run(self, command: list[str], out: int, limit: float) -> int | None:
        """The exit code; None if it was stopped at its limit."""
        with self._lock:  # or one could begin behind the back of ``stop``
            if self._stopped:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment(self._results),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process, self._grace)
            with self._lock:
                self._running.discard(process)
            if self._stopped:
                raise KeyboardInterrupt

    def _sessions(self) -> set[str]:
        folders = (self._results / kind for kind in ("records", "timings"))
        return {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}

    def _unwell(self, sessions: Sequence[str]) -> Iterator[str]:
        """Faults of the records of sessions, contestant by contestant."""
        for path in (path for name in sessions for path in records.paths_of(self._results, name)):
            record = records.read(path)
            if record.outcome is not Outcome.OK or not record.verified:
                why = record.reason or "not verified"
                yield f"{record.cell.backend_label} {record.outcome}, {why}"


def environment(results: Path) -> dict[str, str]:
    """The variables of a command: this source is found, which need not be installed."""
    paths = (str(ROOT), os.environ.get("PYTHONPATH"))
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "160"}
    if find_spec("platformdirs") is None:  # which knows where decoded data is kept
        found.setdefault("TETRAGRAD_CACHE", str((results / "decoded").resolve()))
    return found


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ends a command that still runs, as Ctrl-C does; then, whatever it says, with all it began."""
    if process.poll() is not None:
        return
    workers: list[psutil.Process] = []
    with suppress(psutil.Error):
        workers = psutil.Process(process.pid).children(recursive=True)
    for number, seconds in ((signal.SIGINT, grace), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    for worker in workers:  # each is of a process group of its own
        with suppress(psutil.Error):
            worker.kill()
    psutil.wait_procs(workers, grace)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
