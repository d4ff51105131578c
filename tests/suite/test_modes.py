"""Two modes of a backend in one session, as a user has them: two contestants everywhere."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

import backends
from suite.records import builder, record as records, timing as timings
from suite.session.race import train_untimed
from suite.tracking import tracker as tracking
from tests.folders import mirrored
from tests.suite.command import in_process
from tests.suite.examples import CELL

MODES = ("mirror:eager", "mirror:fast")


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_each_is_verified_trained_and_timed_for_itself(
    proved: Path, site: Path, empty_store: Path
) -> None:
    mirrored(site, modes=("eager", "fast"))
    shutil.copy(empty_store, proved / "results")
    before = {*(proved / "results" / "verified").iterdir()}
    run = ("run", "--task", "fashion_mlp", "--profile", "smoke", "--data", "generated", "--json")
    done = in_process(proved, *run, "--backend", "mirror:all", "--timing-limit", "0")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [f"{c['backend']}:{c['mode']}" for c in document["cells"]] == list(MODES)
    assert [(c["outcome"], c["verified"]) for c in document["cells"]] == [("ok", True)] * 2
    assert tuple(document["timings"]["fashion_mlp"]["contestants"]) == MODES
    kept = timings.of_session(proved / "results", document["session"])["fashion_mlp"]
    assert tuple(contestant.name for contestant in kept.contestants) == MODES
    made = {*(proved / "results" / "verified").iterdir()} - before
    assert len(made) == 2 * 2  # two precisions
    found = [records.read(proved / c["record"]) for c in document["cells"]]
    assert [r.equivalence and r.equivalence["mode"] for r in found] == ["eager", "fast"]
    client = MlflowClient(tracking.default_uri(proved / "results"))
    runs = [client.get_run(c["mlflow_run"]) for c in document["cells"]]
    assert [run.data.tags["mode"] for run in runs] == ["eager", "fast"]
    assert runs[1].info.run_name == "mirror:fast seed 0"


@pytest.mark.skipif(
    any(backends.load("torch").available(mode) for mode in ("eager", "compile")),
    reason="a framework or a C++ compiler is missing",
)
def test_what_is_compiled_is_compiled_before_training_and_its_time_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its model is held against NumPy's by tests/backends."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cells = [replace(CELL, backend="torch", mode=m, profile="smoke") for m in ("eager", "compile")]
    found = [builder.begin("s", cell) for cell in cells]
    train_untimed(found, lambda record, event: None)
    for record in found:
        assert record.outcome == "ok", record.reason
        assert (record.compilations["first"] > 0) == (record.cell.mode == "compile")
        assert record.compilations["again"] == 0
        assert set(record.worker["threads"].values()) == {1}
    # several calls of a C++ compiler
    assert found[1].phases["compile"] > 1
    # nor does another worker find the kernels: its time of compiling would not be told
    assert list(tmp_path.iterdir()) == []
