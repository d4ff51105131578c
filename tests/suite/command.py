"""Runs the command as a user does: a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def _environment(wanted: dict[str, str]) -> dict[str, str]:
    """The caller's with what is wanted; its search path stays, behind another one.

    Neither its tracking server nor the width of its terminal is to decide what a test finds.
    """
    own = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "COLUMNS")}
    paths = (wanted.get("PYTHONPATH"), own.get("PYTHONPATH"))
    return {**own, **wanted, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def assert_refused(done: Any, *words: str) -> None:
    """Exit code 2, one line on standard error that holds ``words``, no traceback, no output."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
