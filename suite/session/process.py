"""The parent's side of a worker: start it, listen to it, end it, say how it ended."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suite.records import events
from suite.records.cell import Cell
from suite.records.events import Ended, Event, Outcome, Waiting
from suite.system import memory
from suite.system.environment import worker_environment
from suite.system.readings import readable, text

# -P: a folder called numpy or torch where the user stands must not be taken for the package
WORKER = (sys.executable, "-P", "-m", "suite.worker")
TAIL = 4_000
GRACE = 10.0


@dataclass
class Ending:
    """How a worker ended, and the end of what it printed."""

    outcome: Outcome
    reason: str | None
    stderr: str = ""


class Worker:
    """One job in a process of its own, which works only when it is given its turn.

    A job that never waits for another turn is done in the first one. ``timeout`` [s] bounds the
    time of all its turns. On leaving the ``with`` block, its process group is gone.
    """

    def __init__(
        self,
        cell: Cell,
        kind: str,
        on_event: Callable[[Event], None] = lambda event: None,
        timeout: float | None = None,
        command: Sequence[str] = WORKER,
        **job: Any,
    ):
        self.cell = cell
        self.ending: Ending | None = None
        self._begin = json.dumps({"kind": kind, "cell": asdict(cell), **job})
        """The first line it is sent; empty once it was."""
        self._on_event, self._timeout, self._command = on_event, timeout, command
        self._left = timeout
        self._memory_limit: int | None = job.get("memory_limit")
        self._pending = b""
        self._killed = False
        self._process: subprocess.Popen[bytes]
        self._open = ExitStack()
        """All that is to be closed in the end."""
        self._events: int
        """The reading end of the channel that events come through."""

    def __enter__(self) -> Worker:
        self._kills_before = _oom_kills()
        try:
            with ExitStack() as stack:
                self._start(stack)
                self._open = stack.pop_all()
        except OSError as error:  # no more processes, files or room: it costs this cell alone
            reason = f"the worker cannot be started: {error.strerror or error}"
            self.ending = Ending(Outcome.CRASHED, reason)
        return self

    def _start(self, stack: ExitStack) -> None:
        """Starts the process; what it needs is closed with ``stack``, after its end."""
        self._printed = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        # its own: a compiler that keeps what it made there would hide from a later worker its time
        scratch = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        self._events, writing = os.pipe()
        stack.callback(os.close, self._events)
        try:
            self._process = subprocess.Popen(
                [*self._command, str(writing)],
                stdin=subprocess.PIPE,
                stdout=self._printed,
                stderr=self._printed,
                pass_fds=(writing,),
                env=self._environment(scratch),
                start_new_session=True,  # Ctrl-C reaches the parent alone, which ends the worker
            )
        finally:
            os.close(writing)
        stack.callback(self._end)
        if self._killed:
            self._kill_group()

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def _end(self) -> None:
        self._kill_group()
        self._process.wait()
        assert self._process.stdin
        with suppress(BrokenPipeError):  # what was not sent yet
            self._process.stdin.close()

    def _environment(self, scratch: str) -> dict[str, str]:
        cell = self.cell
        own = worker_environment(cell.backend, cell.device, cell.threads)
        return {**own, "TMPDIR": scratch}

    @property
    def pid(self) -> int | None:
        """The number of its process; None if that could not be started."""
        return self._process.pid if hasattr(self, "_process") else None

    def kill(self) -> None:
        """Ends it at once, or as soon as it starts; it may be another thread that works with it."""
        self._killed = True
        if hasattr(self, "_process"):
            self._kill_group()

    def _kill_group(self) -> None:
        """The process and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def turn(self, word: str = "go") -> bool:
        """Lets it work until it waits for its next turn. False once it has come to its ``ending``.

        A KeyboardInterrupt is turned into the outcome "interrupted".
        """
        if self.ending:
            return False
        begin = time.monotonic()
        line, self._begin = self._begin or word, ""
        try:
            with suppress(BrokenPipeError):  # if it died, the exit code will tell
                assert self._process.stdin
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()
            self._work(begin)
        except TimeoutError:
            self.ending = Ending(
                Outcome.TIMEOUT, f"not done after {self._timeout:g} s", self._tail()
            )
        except KeyboardInterrupt:
            self.ending = Ending(Outcome.INTERRUPTED, "stopped by the user", self._tail())
        if self._left is not None:
            self._left -= time.monotonic() - begin
        return self.ending is None

    def _work(self, begin: float) -> None:
        """Listens until the worker waits or ends; TimeoutError when its time is over."""
        ended: Ended | None = None
        for event in self._listen(None if self._left is None else begin + self._left):
            if isinstance(event, Waiting):
                return
            self._on_event(event)
            if isinstance(event, Ended):
                ended = event
                break
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=GRACE)  # it may still be tidying up
        self.ending = self._how_it_ended(ended)

    def _how_it_ended(self, ended: Ended | None) -> Ending:
        if ended:
            return Ending(ended.outcome, ended.reason, self._tail())
        code = self._process.returncode
        if self._memory_limit and memory.ran_out(self._tail()):
            reason = f"more than the limit of {self._memory_limit >> 20} MB"
            return Ending(Outcome.OUT_OF_MEMORY, reason, self._tail())
        if code == -signal.SIGKILL and _oom_kills() > self._kills_before:
            return Ending(Outcome.OUT_OF_MEMORY, "killed by the system for memory", self._tail())
        return Ending(Outcome.CRASHED, _exit_reason(code), self._tail())

    def _listen(self, deadline: float | None) -> Iterator[Event]:
        """Events until the worker closes the channel; TimeoutError at the deadline."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._events, selectors.EVENT_READ)
            while True:
                while b"\n" in self._pending:
                    line, self._pending = self._pending.split(b"\n", 1)
                    yield events.read(line)
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError
                if not selector.select(left):
                    continue
                received = os.read(self._events, 1 << 16)
                if not received:
                    return  # what is pending is a line that its writer did not live to end
                self._pending += received

    def _tail(self) -> str:
        """The end of what it printed."""
        size = self._printed.seek(0, os.SEEK_END)
        self._printed.seek(max(0, size - TAIL))
        return self._printed.read().decode(errors="replace")


def launch(
    cell: Cell,
    kind: str,
    on_event: Callable[[Event], None] = lambda event: None,
    timeout: float | None = None,
    command: Sequence[str] = WORKER,
    **job: Any,
) -> Ending:
    """Runs one job in a worker of its own, all in one turn, and waits for it."""
    with Worker(cell, kind, on_event, timeout, command, **job) as worker:
        worker.turn()
    assert worker.ending
    return worker.ending


def launch_all(
    workers: Sequence[Worker], at_once: int, work: Callable[[Worker], object] = Worker.turn
) -> list[Ending]:
    """Runs workers that need not be timed, so many ``at_once``; how each ended.

    ``work`` gives a worker its turns until it has ended. KeyboardInterrupt if the user interrupts.
    """

    def run(worker: Worker) -> None:
        with worker:
            work(worker)

    in_threads(run, workers, at_once)
    return [worker.ending for worker in workers if worker.ending]


def in_threads(work: Callable[[Worker], object], workers: Sequence[Worker], at_once: int) -> None:
    """Does the ``work`` with each of the workers, so many ``at_once``.

    None is left running if this raises: what ``work`` raised, or KeyboardInterrupt.
    """
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(work, worker) for worker in workers]
        try:
            for future in futures:
                future.result()
        except BaseException:
            for future, worker in zip(futures, workers, strict=True):
                future.cancel()
                worker.kill()
            raise


def _exit_reason(code: int) -> str:
    if code < 0:
        # of a real-time signal, Python knows no name
        name = readable(lambda: signal.Signals(-code).name) or f"signal {-code}"
        return f"the worker was killed by {name}"
    return f"the worker ended with exit code {code} and no word"


def _oom_kills(root: Path = Path("/")) -> int:
    """How often the system has killed a process for memory since it started (Linux)."""
    line = re.search(r"^oom_kill (\d+)$", text(root / "proc/vmstat") or "", re.M)
    return int(line[1]) if line else 0
