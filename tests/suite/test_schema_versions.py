"""Documents of schema version 1, as written by hand, are read and used; of later ones, refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from suite.records import baseline as baselines, record as records, timing as timings
from suite.records.baseline import FALSE_ALARMS
from suite.records.cell import Conditions
from suite.records.events import Outcome
from suite.report import content
from suite.session import check as checking
from suite.session.check import Result
from suite.system.git import ROOT
from tasks.task import Envelope, RequestError

BASELINES = ROOT / "results" / "baselines"
SESSION = "20260101-000000-abcd"
CHUNK = {"epoch": 1, "samples": 100, "operations": 4e8, "seconds": 0.1, "losses": [2.0, 1.5]}
SHARED: dict[str, Any] = {
    **{"task": "fashion_mlp", "variant": None, "profile": "quick", "data": "generated"},
    **{"device": "cpu", "precision": "float32", "threads": 1},
}
RECORD: dict[str, Any] = {
    "session": SESSION,
    "cell": {**SHARED, "backend": "numpy", "mode": "eager", "seed": 3, "early_stopping": None}
    | {"options": {}},
    "created": "2026-01-01T00:00:00.000+00:00",
    "outcome": "ok",
    "reason": None,
    "verified": True,
    "equivalence": {"task": "fashion_mlp", "backend": "numpy", "precision": "float32", "steps": 9}
    | {"findings": [], "outcome": "ok", "reason": None, "mode": "eager", "device": "cpu"},
    "specification": {"hidden": 128},
    "unit": "samples/s",
    "targets": [{"metric": "test_accuracy", "low": 0.85, "high": None}],
    "margin": 0.005,
    "validation": "test_loss",
    "provenance": {"dataset": "fashion_mnist", "source": "generated", "digest": "00ff"},
    "packages": {"numpy": "2.4.6"},
    "git": {"commit": "0" * 40, "dirty": False},
    "machine": {"cpu": "a processor", "python": "3.11"},
    "attainable": {"matmul": 1e10, "copy": 1e10},
    "worker": {"devices": ["cpu"], "threads": {"blas": 1}},
    "phases": {"import": 0.1, "train": 0.2},
    "chunks": [CHUNK, {**CHUNK, "losses": [1.0, 0.5]}],
    "epochs": [
        {"epoch": 1, "train_seconds": 0.2}
        | {"metrics": {"train_loss": 1.25, "test_loss": 0.9, "test_accuracy": 0.7}}
    ],
    "stopped": None,
    "resumed": None,
    "texts": {},
    "heatmaps": {},
    "compilations": {"first": 0, "again": 0},
    "memory": {"peak": 10**8},
    "stderr": "",
    "schema_version": 1,
}
TIMING: dict[str, Any] = {
    **{"session": SESSION, **SHARED, "created": "2026-01-01T00:00:00.000+00:00"},
    **{"unit": "samples/s", "samples": [100] * 3, "operations": [4e8] * 3},
    "contestants": [
        {"name": "numpy:eager", "backend": "numpy", "mode": "eager", "verified": True}
        | {"seconds": [0.2] * 3, "idle_load": 0.0}
    ],
    **{"machine": {"matmul": 1e10}, "warm_up_rounds": 1, "wanted_base": None},
    **{"stopped": "limit", "warnings": [], "batch_scale": 1, "batch": 128, "schema_version": 1},
}
RUNS = [
    {"backend": "numpy", "mode": "eager", "seed": seed}
    | {"quantities": {"train_loss, epoch 1": 1.25 + 0.01 * (seed - 3)}, "losses": {"1": 2.0}}
    for seed in range(6)
]
BASELINE: dict[str, Any] = {
    **SHARED,
    "made": {"created": "2026-01-01", "session": SESSION, "command": "tetragrad baseline update"},
    **{name: RECORD[name] for name in ("specification", "provenance", "packages", "git")},
    "machine": RECORD["machine"],
    "schema_version": 1,
    "summary": {"train_loss, epoch 1": {"mean": 1.245, "spread": 0.01, "runs": 6}},
    "runs": RUNS,
}


def keep(path: Path, document: dict[str, Any], **changes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**document, **changes}))
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A record and two timings, one at batches four times as large."""
    keep(tmp_path / "records" / SESSION / "fashion_mlp-numpy-eager-cpu-float32-seed3.json", RECORD)
    folder = tmp_path / "timings" / SESSION
    keep(folder / "fashion_mlp.json", TIMING)
    keep(folder / "fashion_mlp-x4.json", TIMING, batch_scale=4, batch=512, samples=[400] * 3)
    return tmp_path


def test_a_record_is_what_it_was_and_is_written_as_the_latest(results: Path) -> None:
    (path,) = records.all_paths(results)
    record = records.read(path)
    assert record.cell.conditions == Conditions(**SHARED, backend="numpy", mode="eager")
    assert (record.cell.seed, record.outcome) == (3, Outcome.OK)
    assert record.outcome is Outcome.OK
    assert (record.metrics["test_accuracy"], record.throughput["median"]) == (0.7, None)
    assert record.training_throughput["median"] == 1000
    assert records.write(results, record) == path
    assert json.loads(path.read_text())["schema_version"] == records.SCHEMA_VERSION
    assert records.read(path) == record


@pytest.mark.parametrize(
    ("outcome", "reason", "expected"),
    [
        ("interrupted", "not begun", Outcome.NOT_BEGUN),
        ("interrupted", "stopped by the user", Outcome.INTERRUPTED),
        ("out-of-memory", "more than the limit of 9 MB", Outcome.OUT_OF_MEMORY),
    ],
)
def test_what_was_not_begun_is_told_from_what_was_interrupted(
    tmp_path: Path, outcome: str, reason: str, expected: Outcome
) -> None:
    path = keep(tmp_path / "r.json", RECORD, outcome=outcome, reason=reason)
    assert records.read(path).outcome is expected


def test_timings_have_their_conditions_and_the_scale_among_them(results: Path) -> None:
    found = timings.of_session(results, SESSION)
    assert list(found) == ["fashion_mlp x4", "fashion_mlp"]
    assert found["fashion_mlp"].conditions == Conditions(**SHARED)
    larger = found["fashion_mlp x4"]
    assert larger.conditions == Conditions(**SHARED, options={"batch_scale": "4"})
    assert (larger.batch, larger.warm_up_rounds) == (512, 1)
    path = timings.write(results, larger)
    assert path.name == "fashion_mlp-x4.json"
    assert timings.read(path) == larger
    assert json.loads(path.read_text())["schema_version"] == timings.SCHEMA_VERSION


def test_a_report_uses_both(results: Path) -> None:
    found = [records.read(path) for path in records.all_paths(results)]
    timed = timings.of_session(results, SESSION)
    (section,) = content.build(found, list(timed.values())).sections
    (entry,) = section.entries
    assert section.interleaved
    assert entry.verified
    assert entry.speed
    assert entry.speed.rate.median == pytest.approx(500)  # of the timing, not of the record
    ((line),) = section.batches
    assert [point.batch for point in line.points] == [128, 512]


def test_a_baseline_is_checked_against(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "baselines"
    path = keep(folder / "fashion_mlp-quick-generated.json", BASELINE)
    baseline = baselines.read(path)
    assert baseline.conditions == Conditions(**SHARED)
    assert checking.find(folder, [("fashion_mlp", None)], "quick", {"fashion_mlp": "generated"})
    (record,) = map(records.read, records.all_paths(results))
    (cell,) = checking.cells_of(baseline, [("numpy", "eager"), ("jax", "jit")], seed=3)
    assert cell == record.cell
    result = Result(record, None, Envelope(steps=9, loss=1e-6, gradient=1, state=1))
    judged = {f.name: f for f in checking.judged(baseline, result, FALSE_ALARMS)}
    assert judged["fashion_mlp numpy:eager: constants"].passed
    assert judged["fashion_mlp numpy:eager: data"].passed
    assert judged["fashion_mlp numpy:eager: train_loss, epoch 1"].passed
    assert baselines.write(folder, baseline) == path
    assert baselines.read(path) == baseline
    assert json.loads(path.read_text())["schema_version"] == baselines.SCHEMA_VERSION


def test_every_baseline_of_the_source_is_read() -> None:
    paths = sorted(BASELINES.glob("*.json"))
    assert paths
    for path in paths:
        assert baselines.path_of(BASELINES, baselines.read(path).conditions) == path


READERS: dict[str, tuple[Callable[[Path], Any], dict[str, Any]]] = {
    "record": (records.read, RECORD),
    "timing": (timings.read, TIMING),
    "baseline": (baselines.read, BASELINE),
}


@pytest.mark.parametrize("version", [0, 3, -1])
@pytest.mark.parametrize("kind", READERS)
def test_any_other_version_is_refused(tmp_path: Path, kind: str, version: int) -> None:
    read, document = READERS[kind]
    path = keep(tmp_path / "other.json", document, schema_version=version)
    with pytest.raises(RequestError, match=f"other.json has schema version {version}, .* 1 to 2"):
        read(path)


@pytest.mark.parametrize("kind", READERS)
def test_a_word_too_many_or_a_version_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    read, document = READERS[kind]
    for changes in ({"moon": "full"}, {"schema_version": "1"}, {"schema_version": None}):
        path = keep(tmp_path / "other.json", document, **changes)
        with pytest.raises(RequestError, match=f"is not a {kind}"):
            read(path)


@pytest.mark.parametrize("kind", ["timing", "baseline"])
def test_of_version_2_the_conditions_lie_in_a_place_of_their_own(tmp_path: Path, kind: str) -> None:
    read, document = READERS[kind]
    flat = {**copy.deepcopy(document), "schema_version": 2}
    with pytest.raises(RequestError, match=f"is not a {kind}"):
        read(keep(tmp_path / "flat.json", flat))
    own = {n: v for n, v in flat.items() if n not in (*SHARED, "batch_scale")}
    path = keep(tmp_path / "own.json", own, conditions=asdict(Conditions(**SHARED)))
    assert read(path).conditions == Conditions(**SHARED)
