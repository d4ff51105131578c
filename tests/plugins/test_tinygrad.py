"""A fifth backend, in a package of its own: installed, listed and proved."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite.command import tetragrad

PACKAGE = Path(__file__).parent / "tetragrad_tinygrad"
TASKS = ("perceptron", "regression", "fashion_mlp")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip has installed the package in, from a copy: setuptools builds in it."""
    if importlib.util.find_spec("tinygrad") is None:
        pytest.skip("tinygrad is not installed: pip install 'tetragrad[dev]'")
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PACKAGE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    alone = ("--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder / "site"))
    subprocess.run([*pip, *alone, str(folder / "source")], check=True, capture_output=True)
    return folder / "site"


def test_it_is_the_same_model(site: Path, tmp_path: Path) -> None:
    wanted = [word for task in TASKS for word in ("--task", task)]
    how = ("--backend", "tinygrad", "--precision", "float64", "--data", "generated")
    done = tetragrad(tmp_path, "verify", *wanted, *how, PYTHONPATH=str(site), COLUMNS="120")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if "tinygrad:jit" in line]
    assert [row[1] for row in rows] == ["float64"] * len(TASKS)
    assert {row[-1] for row in rows} == {"same"}
