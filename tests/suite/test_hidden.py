"""Modules of a user's that have the names of our packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tetragrad
from tests.suite.command import assert_refused, tetragrad as run

HOME = Path(tetragrad.__file__).parent


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("tasks.py", "tasks"),
        ("suite.py", "suite"),
        ("suite/__init__.py", "suite"),
        ("backends/__init__.py", "backends"),
    ],
)
def test_what_hides_a_package_is_named(file: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise SystemExit('it was run')")
    done = run(tmp_path, "--version", PYTHONPATH=str(tmp_path))
    place = path.parent if path.name == "__init__.py" else path
    assert_refused(done, f"error: {place} hides the package {name}", str(HOME / name), "rename it")
    assert done.stderr.count("\n") == 1


def test_so_is_what_lies_where_the_program_is_started(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("")
    searched: dict[str, Any] = {"env": {**os.environ, "PYTHONPATH": f"{os.pathsep}{HOME}"}}
    done = subprocess.run(
        [sys.executable, "-m", "tetragrad", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        **searched,
    )
    assert_refused(done, str(tmp_path / "tasks.py"), "hides the package tasks")


def test_a_folder_that_is_no_package_hides_nothing(tmp_path: Path) -> None:
    for name in tetragrad.PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("")
    done = run(tmp_path, "--version", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
