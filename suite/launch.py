"""The parent's side of a worker: start it, listen to it, end it, say how it ended."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from suite.environment import worker_environment
from suite.records import Cell

Event = dict[str, Any]
# -P: a folder called numpy or torch where the user stands must not be taken for the package
WORKER = (sys.executable, "-P", "-m", "suite.worker")
TAIL = 4_000
GRACE = 10.0


@dataclass
class Ending:
    """How a worker ended, and the end of what it printed."""

    outcome: str
    reason: str | None
    stderr: str = ""


def launch(
    cell: Cell,
    kind: str,
    on_event: Callable[[Event], None] = lambda event: None,
    timeout: float | None = None,
    command: Sequence[str] = WORKER,
    **job: Any,
) -> Ending:
    """Runs one job in a worker of its own and waits for it.

    The worker's process group is gone when this returns or raises. ``timeout`` [s]. A
    KeyboardInterrupt is turned into the outcome "interrupted".
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    kills_before = _oom_kills()
    with tempfile.TemporaryFile() as printed:
        with _started(cell, kind, command, job, printed) as (process, events):
            last: Event = {}
            try:
                for event in _listen(events, deadline):
                    last = event
                    on_event(event)
                    if event["event"] == "ended":
                        break
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=GRACE)  # it may still be tidying up
            except TimeoutError:
                return Ending("timeout", f"not done after {timeout:g} s", _tail(printed))
            except KeyboardInterrupt:
                return Ending("interrupted", "stopped by the user", _tail(printed))
        if last.get("event") == "ended":
            return Ending(last["outcome"], last["reason"], _tail(printed))
        if process.returncode == -signal.SIGKILL and _oom_kills() > kills_before:
            return Ending("out-of-memory", "killed by the system for memory", _tail(printed))
        return Ending("crashed", _exit_reason(process.returncode), _tail(printed))


@contextmanager
def _started(
    cell: Cell, kind: str, command: Sequence[str], job: Mapping[str, Any], printed: IO[bytes]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The worker and the reading end of its events; on leaving, its whole group is killed."""
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [*command, str(writing)],
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=printed,
            pass_fds=(writing,),
            env=worker_environment(cell.backend, cell.device, cell.threads),
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends the worker
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    try:
        assert process.stdin
        with suppress(BrokenPipeError):  # if it died at once, the exit code will tell
            process.stdin.write(json.dumps({"kind": kind, "cell": asdict(cell), **job}).encode())
            process.stdin.close()
        yield process, reading
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(reading)


def _listen(channel: int, deadline: float | None) -> Iterator[Event]:
    """Events until the worker closes the channel; TimeoutError at the deadline."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            if not selector.select(left):
                continue
            received = os.read(channel, 1 << 16)
            if not received:
                return  # what is left in `pending` is a line that its writer did not live to end
            *lines, pending = (pending + received).split(b"\n")
            yield from map(json.loads, lines)


def _tail(printed: IO[bytes]) -> str:
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - TAIL))
    return printed.read().decode(errors="replace")


def _exit_reason(code: int) -> str:
    if code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}"
    return f"the worker ended with exit code {code} and no word"


def _oom_kills() -> int:
    """How often the system has killed a process for memory since it started (Linux)."""
    counters = Path("/proc/vmstat")
    if counters.is_file():
        for line in counters.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
