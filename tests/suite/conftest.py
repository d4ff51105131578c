"""Shared by the tests of the suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an MLflow store without runs, to be copied: to make one takes seconds."""
    results = tmp_path_factory.mktemp("store")
    assert Tracker(tracking.default_uri(results), results).experiments() == {}
    return results / "mlflow.db"
