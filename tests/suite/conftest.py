"""Shared by the tests of the suite."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker
from tests.suite.repositories import at, repository


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an MLflow store without runs, to be copied: to make one takes seconds."""
    results = tmp_path_factory.mktemp("store")
    assert Tracker(tracking.default_uri(results), results).experiments() == {}
    return results / "mlflow.db"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two commits, taken for this source, and a folder for what is temporary."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return at(repository(tmp_path / "source"), monkeypatch)
