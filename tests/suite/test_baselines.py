"""Baselines: what they keep, and that their bands are as wide as they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from suite.records import baseline as baselines
from suite.records.baseline import band
from suite.session import check as checking
from tasks.task import RequestError
from tests.suite.examples import example_baseline


@pytest.mark.parametrize(("n", "chance"), [(3, 0.2), (20, 0.01)])
def test_one_more_observation_is_outside_as_often_as_it_may_be(n: int, chance: float) -> None:
    trials = 4_000
    drawn = np.random.default_rng(0).normal(3, 2, (trials, n + 1))
    bands = [band(row[:n].tolist(), chance) for row in drawn]
    pairs = zip(bands, drawn[:, n], strict=True)
    inside = [b is not None and b.low <= value <= b.high for b, value in pairs]
    # four standard deviations of a binomial share
    assert abs(1 - float(np.mean(inside)) - chance) < 4 * np.sqrt(chance * (1 - chance) / trials)


@pytest.mark.parametrize("values", [[0.25], [0.1] * 5, [0.0] * 5])
def test_there_is_no_band_without_a_spread(values: list[float]) -> None:
    assert band(values, 0.01) is None


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    baseline = example_baseline()
    path = baselines.write(tmp_path / "new", baseline)
    assert path == tmp_path / "new" / "fashion_mlp-quick-generated.json"
    assert baselines.read(path) == baseline
    summary = json.loads(path.read_text())["summary"]["test_accuracy"]
    assert summary["mean"] == pytest.approx(0.8)
    assert summary["spread"] == pytest.approx(np.std(np.arange(10), ddof=1) / 1000)
    assert summary["runs"] == 10


def test_a_card_has_baselines_of_its_own(tmp_path: Path) -> None:
    cpu = example_baseline()
    on_card = replace(cpu, conditions=replace(cpu.conditions, device="cuda:1"))
    assert baselines.write(tmp_path, on_card).name == "fashion_mlp-quick-generated-cuda.json"
    baselines.write(tmp_path, cpu)
    wanted = ([("fashion_mlp", None)], "quick", {"fashion_mlp": "generated"})
    found = {
        device: checking.find(tmp_path, *wanted, device)[0].conditions.device  # type: ignore[arg-type]
        for device in ("cpu", "cuda", "cuda:0")
    }
    assert found == {"cpu": "cpu", "cuda": "cuda", "cuda:0": "cuda:0"}  # cells run where asked


def test_it_keeps_convergence_quality_and_single_losses() -> None:
    run = example_baseline().runs[0]
    assert run.quantities == {
        "train_loss, epoch 1": 1.15,
        "train_loss, epoch 2": 0.4,
        "test_loss": 0.5,
        "test_accuracy": 0.8 - 0.0045,
    }
    assert run.losses == {"1": 2.0, "2": 1.5, "5": 0.8, "10": 0.4}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"schema_version": 0}, "schema version 0"),
        ({"runs": []}, "it has no runs"),
        ({"runs": [{"backend": "numpy"}]}, "not a baseline"),
        ({"provenance": {"source": "real"}}, "its data are real, not generated"),
        ({"conditions": None}, "not a baseline"),
        ({"provenance": []}, "not a baseline"),
        ({"width": 1}, "not a baseline"),
    ],
)
def test_what_is_no_baseline_is_refused(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    path = baselines.write(tmp_path, example_baseline())
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(RequestError, match=words):
        baselines.read(path)
    path.write_text("[]")
    with pytest.raises(RequestError, match="not a baseline"):
        baselines.read(path)
