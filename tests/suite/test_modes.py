"""Two modes of a backend in one session, as a user has them: two contestants everywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import backends
from suite.records import record as records, timing as timings
from suite.tracking import tracker as tracking
from tests.suite.command import tetragrad

MODES = ("torch:eager", "torch:compile")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Path, Any]:
    """One smoke run, shared by the tests that look at what came of it."""
    folder = tmp_path_factory.mktemp("modes")
    for name in ("scratch", "results"):
        (folder / name).mkdir()
    shutil.copy(empty_store, folder / "results")
    chosen = ("--backend", "torch:eager", "--backend", "torch:compile")
    run = ("run", "--task", "fashion_mlp", "--profile", "smoke", "--data", "generated", "--json")
    brief = ("--timing-limit", "1")
    done = tetragrad(folder, *run, *chosen, *brief, TMPDIR=str(folder / "scratch"))
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # MLflow's own
    pytest.mark.skipif(
        any(backends.load(n).available(m) for ((n, m),) in map(backends.choices, MODES)),
        reason="a framework or a C++ compiler is missing",
    ),
]


def test_each_is_verified_trained_and_timed_for_itself(session: tuple[Path, Any]) -> None:
    folder, document = session
    assert [f"{c['backend']}:{c['mode']}" for c in document["cells"]] == list(MODES)
    assert [(c["outcome"], c["verified"]) for c in document["cells"]] == [("ok", True)] * 2
    assert tuple(document["timings"]["fashion_mlp"]["contestants"]) == MODES
    assert (
        tuple(
            c.name
            for c in timings.of_session(folder / "results", document["session"])[
                "fashion_mlp"
            ].contestants
        )
        == MODES
    )
    assert len(list((folder / "results" / "verified").iterdir())) == 2 * 2  # two precisions
    found = [records.read(folder / c["record"]) for c in document["cells"]]
    assert [r.equivalence and r.equivalence["mode"] for r in found] == ["eager", "compile"]
    client = MlflowClient(tracking.default_uri(folder / "results"))
    runs = [client.get_run(c["mlflow_run"]) for c in document["cells"]]
    assert [run.data.tags["mode"] for run in runs] == ["eager", "compile"]
    assert runs[1].info.run_name == "torch:compile seed 0"


def test_what_is_compiled_is_compiled_before_training_and_its_time_told(
    session: tuple[Path, Any],
) -> None:
    folder, document = session
    for cell in document["cells"]:
        record = records.read(folder / cell["record"])
        assert (record.compilations["first"] > 0) == (cell["mode"] == "compile")
        assert record.compilations["again"] == 0
        assert set(record.worker["threads"].values()) == {1}
    compiled = records.read(folder / document["cells"][1]["record"])
    # several calls of a C++ compiler: of kernels kept from another worker there would be none
    assert compiled.phases["compile"] > 1
    assert list((folder / "scratch").iterdir()) == []
