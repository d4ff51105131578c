"""Shared by the tests of the suite."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks
from suite.session import preparation
from suite.session.verifier import Verifier
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker
from tests.suite import attained
from tests.suite.repositories import at, repository


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an MLflow store without runs, to be copied: to make one takes seconds."""
    results = tmp_path_factory.mktemp("store")
    assert Tracker(tracking.default_uri(results), results).experiments() == {}
    return results / "mlflow.db"


@pytest.fixture(autouse=True, scope="session")
def measured_once() -> Iterator[None]:
    """Rates of the machine are measured once for all sessions in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "launch", attained.launch)
        yield


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Verdicts on NumPy's ``fashion_mlp`` on generated data, as ``results/verified`` keeps them."""
    folder = tmp_path_factory.mktemp("verdicts") / "verified"
    task = tasks.load("fashion_mlp", "full", "generated")
    (verdict,) = Verifier(task, "cpu", 1, cache_folder=folder).prove(
        [(("numpy", "eager"), "float32")]
    )
    assert verdict.verified, verdict.explanation
    return folder


@pytest.fixture
def proved(tmp_path: Path, verdicts: Path) -> Path:
    """A folder for sessions of NumPy's ``fashion_mlp``, which are not to verify it again."""
    shutil.copytree(verdicts, tmp_path / "results" / "verified")
    return tmp_path


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two commits, taken for this source, and a folder for what is temporary."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return at(repository(tmp_path / "source"), monkeypatch)
