"""Settings for every test, who shares a process, and what was not tested."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from suite.system import git
from tests.folders import importable

# as many test processes as processors: each with threads that wait busily would slow all of them
for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(pool, "1")

# machines are shared and slow at times: a deadline would fail tests for that
settings.register_profile("tetragrad", deadline=None, derandomize=True, database=None)
settings.load_profile("tetragrad")

# a shell's background job ignores Ctrl-C, and so would the programs that the tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

# what a hook is told of its repository: the tests' own commits would go there
git.forget_hook()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder on Python's path, as a package is installed in; its path is the workers' too."""
    folder = tmp_path / "site"
    folder.mkdir()
    with importable(folder):
        yield folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why tests were skipped, each reason once: for want of a program, a data set, a device."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple | list):  # the latter from another process
            reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("not tested")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count} test{'s' * (count > 1)}: {reason}")
