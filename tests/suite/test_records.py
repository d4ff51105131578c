"""Records: what is written can be read, wholly or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suite.records import record as records
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from tasks.task import RequestError
from tests.suite.command import unwritable
from tests.suite.examples import CELL, example_record


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = example_record()
    path = records.write(tmp_path, record)
    assert path == tmp_path / "records" / record.session / f"{CELL.label}.json"
    assert records.read(path) == record
    assert list(records.all_paths(tmp_path)) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    records.write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        records.write_json(path, {"new": [1.0] * 100_000 + [float("nan")]})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 1}', '{"cell": 3}'])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "strange.json"
    path.write_text(content)
    with pytest.raises(RequestError, match=r"strange.json is not a record"):
        records.read(path)


def test_a_record_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.json"
    path.write_text('{"schema_version": 99}')
    with pytest.raises(RequestError, match="schema version 99"):
        records.read(path)


def test_results_that_cannot_be_written_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"cannot be written.*--results"):
        records.require_writable(unwritable(tmp_path))


def epochs(*accuracies: float) -> list[dict[str, Any]]:
    return [
        {
            "epoch": i,
            "train_seconds": 2.0 * i,
            "metrics": {"test_accuracy": accuracy, "train_loss": 0.31},
        }
        for i, accuracy in enumerate(accuracies, 1)
    ]


def on(cell: Cell, *accuracies: float) -> Record:
    return replace(example_record(), cell=cell, epochs=epochs(*accuracies))


def test_time_to_target_is_the_train_time_of_the_first_epoch_that_meets_it() -> None:
    real = replace(CELL, data="real")
    assert on(real, 0.80, 0.86, 0.84).time_to_target == 4.0
    assert on(real, 0.80, 0.81).time_to_target is None


def test_epochs_to_target_are_counted_from_one() -> None:
    real = replace(CELL, data="real")
    assert on(real, 0.80, 0.86, 0.84).epochs_to_target == 2
    assert on(real, 0.80, 0.81).epochs_to_target is None
    assert on(replace(real, data="generated"), 0.9).epochs_to_target is None


def test_a_run_that_was_stopped_early_has_the_metrics_of_its_best_epoch() -> None:
    full = replace(CELL, data="real", profile="full", early_stopping=1)
    stopped = replace(on(full, 0.80, 0.84, 0.82), stopped={"epoch": 3, "best": 2})
    assert stopped.metrics["test_accuracy"] == 0.84
    assert stopped.missed == []  # its number of epochs is not that of the targets


def test_a_record_reads_its_curve() -> None:
    record = example_record()
    assert str(record.reading) == "still learning"
    assert replace(record, epochs=[]).reading is None
    assert replace(record, validation=None).reading is None
    diverged = replace(record, outcome=Outcome.DIVERGED, reason="the loss is nan at step 9").reading
    assert str(diverged) == "diverging since epoch 3"
    assert diverged
    assert diverged.reason == "the loss is nan at step 9"


def test_a_record_of_before_there_were_readings_can_be_read(tmp_path: Path) -> None:
    path = records.write(tmp_path, example_record())
    document = json.loads(path.read_text())
    for name in ("margin", "validation", "stopped"):
        del document[name]
    del document["cell"]["early_stopping"]
    path.write_text(json.dumps(document))
    old = records.read(path)
    assert (old.reading, old.metrics) == (None, example_record().metrics)


def test_targets_are_judged_on_full_runs_on_real_data_only() -> None:
    full = replace(CELL, data="real", profile="full")
    assert on(full, 0.86).missed == []
    (missed,) = on(full, 0.86, 0.84).missed
    assert missed == "test_accuracy 0.8400 is not in [0.85, None]"
    assert on(replace(full, data="generated"), 0.2).missed == []
    assert on(replace(full, data="generated"), 0.9).time_to_target is None
    assert on(replace(full, profile="quick"), 0.2).missed == []


def test_training_alone_shows_the_median_rate_of_the_chunks() -> None:
    speed = example_record().training_throughput
    assert speed["unit"] == "samples/s"
    assert speed["low"] <= speed["median"] <= speed["high"]
    assert speed["median"] == 1000.0
    assert replace(example_record(), chunks=[]).training_throughput["median"] is None
