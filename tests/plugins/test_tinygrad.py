"""A fifth backend, in a package of its own: installed by pip, and proved."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import backends
from tests.suite.command import in_process

PACKAGE = Path(__file__).parent / "tetragrad_tinygrad"
TASKS = ("perceptron", "regression", "fashion_mlp")
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
ALONE = ("--no-index", "--no-deps", "--no-build-isolation")
"""Nothing is fetched: what it needs is in ``tetragrad[dev]``."""


def test_it_is_the_same_model(site: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("tinygrad") is None:
        pytest.skip("tinygrad is not installed: pip install 'tetragrad[dev]'")
    copy = tmp_path / "source"  # setuptools builds in it
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([*PIP, *ALONE, "--target", site, copy], check=True, capture_output=True)
    assert backends.origin("tinygrad") == "tetragrad-tinygrad 1.0"
    wanted = [word for task in TASKS for word in ("--task", task)]
    how = ("--backend", "tinygrad", "--precision", "float64")
    done = in_process(tmp_path, "verify", *wanted, *how, COLUMNS="120")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if "tinygrad:jit" in line]
    assert [(row[1], row[-1]) for row in rows] == [("float64", "same")] * len(TASKS)
