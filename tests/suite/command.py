"""Runs the command as a user does, in a folder of its own: in a process of its own, or in ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
from typer.testing import CliRunner

from suite.cli import app

FOREIGN = ("MLFLOW_TRACKING_URI", "COLUMNS")
"""The caller's tracking server and the width of its terminal: they are not to decide a test."""
TETRAGRAD = (sys.executable, "-P", "-m", "tetragrad")


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The command, running, with both outputs piped."""
    return subprocess.Popen(
        [*TETRAGRAD, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(environment),
    )


def tetragrad(folder: Path, *arguments: str, **environment: str) -> Any:
    """The command, done: ``returncode``, ``stdout``, ``stderr``."""
    return subprocess.run(
        [*TETRAGRAD, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
        env=_environment(environment),
    )


def in_process(folder: Path, *arguments: str, **environment: str) -> Any:
    """The command, done in this process, as ``tetragrad`` has it, at a tenth of the cost.

    For what it refuses, reads or writes down; what trains or is interrupted gets its process.
    """
    unset: dict[str, str | None] = dict.fromkeys(FOREIGN)
    with chdir(folder):
        done = CliRunner().invoke(app, arguments, env={**unset, **environment})
    if not isinstance(done.exception, SystemExit | None):
        raise done.exception
    return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)


def _environment(wanted: dict[str, str]) -> dict[str, str]:
    """The caller's with what is wanted; its search path stays, behind another one."""
    own = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    paths = (wanted.get("PYTHONPATH"), own.get("PYTHONPATH"))
    return {**own, **wanted, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def refusal(done: Any) -> tuple[str, str]:
    """The error that a command in this process was refused with, and what it said before."""
    assert done.exit_code == 2, done.output
    said, _, error = (done.stdout + done.stderr).rpartition("error: ")
    return error.strip(), said


def assert_refused(done: Any, *words: str) -> None:
    """Exit code 2, one line on standard error that holds ``words``, no traceback, no output."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def wait_for(process: Any, pattern: str) -> None:
    """Reads standard error up to a line that matches."""
    for line in process.stderr:
        if re.search(pattern, line):
            return
    raise AssertionError(f"it ended without {pattern!r}")


def workers(process: Any) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [p for p in children if "suite.worker" in p.cmdline()]


def unwritable(tmp_path: Path) -> Path:
    """A folder that this user cannot write to; root may write anywhere but under /proc."""
    if os.geteuid() == 0:
        return Path("/proc/results")
    tmp_path.chmod(0o555)
    return tmp_path
