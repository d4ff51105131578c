"""Axes show no difference that means nothing."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suite.history import page
from suite.history.series import build
from suite.records.record import Record
from suite.records.statistics import MEANINGLESS, axis_ends
from suite.report import charts, content
from suite.report.batches import AtBatch, BatchLine
from suite.report.measures import Interval
from suite.tracking import curves
from tests.suite import reported
from tests.suite.command import in_process
from tests.suite.history.past import past, send

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours
CHOICE = ("fashion_mlp", None)
EPOCH = {"epoch": 1, "train_seconds": 1.0}
LOSSES = {"train_loss": 1.0, "test_loss": 1.0}


@pytest.mark.parametrize("values", [[103_005.5], [0.8, 0.8 + 1e-9], [-5.0, -5.001], [0.0, 0.0]])
def test_values_that_hardly_differ_lie_in_the_middle(values: list[float]) -> None:
    ends = axis_ends(values)
    assert ends
    low, high = ends
    size = max(map(abs, values))
    assert high - low >= MEANINGLESS * size
    assert low < min(values) <= max(values) < high
    assert (max(values) - min(values)) / (high - low) <= 0.5


@pytest.mark.parametrize("values", [[0.8, 0.85], [0.0, 0.001], [-1.0, 1.0], [100.0, 103.0]])
def test_others_set_their_axis_themselves(values: list[float]) -> None:
    assert axis_ends(values) is None


@pytest.fixture
def results(tmp_path: Path, empty_store: Path) -> Path:
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results")
    return tmp_path / "results"


def height(chart: Any) -> Any:
    return chart.figure["layout"]["yaxis"].get("range")


def test_a_history_of_one_point_has_a_wide_axis(results: Path) -> None:
    history = build(send(results, [past(1, "numpy", 103.0055)]), CHOICE)
    low, high = height(page._chart(history, history.series))
    assert (high - low) / 103_005.5 == pytest.approx(2 * MEANINGLESS)
    far = build(send(results, [past(2, "numpy", 300.0)]), CHOICE)
    assert height(page._chart(far, far.series)) is None


def one_epoch(accuracies: dict[str, float]) -> list[Record]:
    return [
        reported.record(
            backend, epochs=[{**EPOCH, "metrics": {**LOSSES, "test_accuracy": accuracy}}]
        )
        for backend, accuracy in accuracies.items()
    ]


def test_four_equal_points_of_one_epoch_do_not_fill_a_chart() -> None:
    alike = {"numpy": 0.8, "torch": 0.8 + 1e-7, "tensorflow": 0.8 - 2e-7, "jax": 0.8 + 3e-7}
    (section,) = content.build(one_epoch(alike)).sections
    for chart in charts.curves(section, "test_accuracy"):
        low, high = height(chart)
        assert low < 0.79
        assert high > 0.81
    (section,) = content.build(one_epoch({"numpy": 0.8, "jax": 0.7})).sections
    assert [height(chart) for chart in charts.curves(section, "test_accuracy")] == [None, None]


def test_a_logarithmic_axis_too() -> None:
    (section,) = content.build([reported.record("numpy")]).sections
    points = tuple(AtBatch(128 * n, n, Interval(1000 + n, 1000, 1003)) for n in (1, 2))
    chart = charts.by_batch(replace(section, batches=(BatchLine("numpy", "eager", points),)))
    low, high = height(chart)
    assert (low, high) == pytest.approx((math.log10(981.44), math.log10(1021.56)), rel=1e-4)


def test_the_picture_in_mlflow_too() -> None:
    record = one_epoch({"numpy": 0.8})[0]
    _, right = curves.panels(record)
    low, high = right.values
    assert high - low == pytest.approx(2 * MEANINGLESS * 0.8)
    twice = [{**EPOCH, "epoch": n, "metrics": {"test_accuracy": 0.4 * n}} for n in (1, 2)]
    _, right = curves.panels(replace(record, epochs=twice))
    assert right.values == pytest.approx((0.38, 0.82))


@pytest.mark.parametrize("command", [("history", "fashion_mlp"), ("history", "imdb_text:bow")])
def test_a_refusal_is_all_that_is_printed(
    command: tuple[str, ...], results: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """MLflow warns of an experiment that is not there, to the process's own standard error."""
    send(results, [past(1, "numpy")]) if command[1] == "imdb_text:bow" else None
    done = in_process(results.parent, *command)
    assert done.returncode == 2
    assert done.stderr.startswith("error: MLflow has no cell of")
    assert done.stderr.count("\n") == 1
    assert capfd.readouterr() == ("", "")
