"""Rates, ratios round by round, warming up, and when there are rounds enough."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from suite.records import record as records, timing as timings
from suite.records.statistics import settled
from tasks.task import RequestError
from tests.suite.examples import example_timing


def test_rates_and_ratios_are_medians_over_rounds() -> None:
    found = example_timing([1.0, 2.0, 4.0], [0.5, 1.0, 2.0])
    assert found.throughput("torch:eager")[0] == 100
    own = 1.96 * timings.PROCESS  # all there is: in every round, whatever the machine did, it is 2
    assert found.ratio("torch:eager", "numpy:eager") == pytest.approx((2, 2 - 2 * own, 2 + 2 * own))
    assert found.ratio("numpy:eager", "torch:eager")[0] == 0.5
    assert found.ratio("torch:eager", "torch:eager") == (1, 1, 1)
    with pytest.raises(RequestError, match="'jax' was not timed; there are: numpy:eager, torch"):
        found.ratio("jax", "numpy:eager")


def test_a_drift_of_the_machine_does_not_reach_the_ratios() -> None:
    rng = np.random.default_rng(0)
    drift = np.linspace(1, 3, 40)
    one, other = (drift * base * rng.lognormal(0, 0.01, 40) for base in (1.0, 0.8))
    found = example_timing(one.tolist(), other.tolist())
    middle, low, high = found.ratio("torch:eager", "numpy:eager")
    assert low < 1.25 < high
    assert (high - low) / middle < 0.03
    rate, rate_low, rate_high = found.throughput("torch:eager")
    assert (rate_high - rate_low) / rate > 0.2


def test_it_is_precise_after_some_rounds_at_least_and_only_if_all_ratios_are() -> None:
    steady, wild = [1.0] * timings.LEAST_ROUNDS, [1.0, 1.2, 0.8, 1.1, 0.9, 1.0, 1.2, 0.8]
    assert example_timing(steady, steady).precise()
    assert not example_timing(steady[1:], steady[1:]).precise()
    assert not example_timing(steady, wild).precise()
    assert not example_timing(steady, steady, wild).precise()
    assert example_timing(wild).precise()  # alone, there is no ratio to know


def test_the_rounds_of_warming_up_are_left_out_for_all() -> None:
    cold = [5.0, 3.0, *[1.0] * 8]
    found = timings.trimmed(example_timing([1.0] * 10, cold))
    assert found.warm_up_rounds == 2
    assert found.contestants[0].seconds == (1.0,) * 8
    assert found.contestants[1].seconds == (1.0,) * 8
    assert found.samples == (100,) * 8


def test_shapes_of_different_size_are_no_warming_up() -> None:
    samples = (100, 300) * 6
    seconds = [count / 100 for count in samples]
    found = timings.trimmed(replace(example_timing(seconds, seconds), samples=samples))
    assert found.warm_up_rounds == 0


@given(st.lists(st.floats(-5, 5), max_size=30))
def test_at_most_half_of_a_series_is_left_out(series: list[float]) -> None:
    assert 0 <= settled(series) <= len(series) // 2


def test_a_steady_series_is_kept_nearly_whole() -> None:
    rng = np.random.default_rng(0)
    left_out = [settled(rng.normal(size=40).tolist()) for _ in range(200)]
    assert np.median(left_out) <= 8


def test_rounds_of_several_seeds_are_joined() -> None:
    first, second = example_timing([1.0], [2.0]), example_timing([3.0], [4.0])
    both = timings.joined(replace(first, warnings=("a",), warm_up_rounds=1), second)
    assert [c.seconds for c in both.contestants] == [(1.0, 3.0), (2.0, 4.0)]
    assert (both.samples, both.warnings, both.warm_up_rounds) == ((100, 100), ("a",), 1)


def test_efficiency_is_the_fraction_of_the_attainable_rate() -> None:
    found = example_timing([1.0, 2.0, 4.0], [0.5, 1.0, 2.0])
    assert found.efficiency("torch:eager") is None
    found = replace(found, operations=(1e9, 2e9, 4e9), machine={"matmul": 8e9, "copy": 1e9})
    assert found.efficiency("numpy:eager") == (0.125, 0.125, 0.125)
    assert found.efficiency("torch:eager") == (0.25, 0.25, 0.25)
    assert replace(found, machine={}).efficiency("torch:eager") is None


def test_operations_go_with_their_rounds() -> None:
    cold = [5.0, 3.0, *[1.0] * 8]
    counts = tuple(map(float, range(10)))
    found = timings.trimmed(replace(example_timing([1.0] * 10, cold), operations=counts))
    assert found.operations == counts[2:]
    assert timings.joined(found, found).operations == counts[2:] * 2


def test_a_timing_round_trips_and_what_is_none_is_refused(tmp_path: Path) -> None:
    found = example_timing([1.0, 2.0], [0.5, 1.0])
    found = replace(found, operations=(1.0, 2.0), machine={"matmul": 1e9})
    path = timings.path_of(tmp_path, found)
    assert path.relative_to(tmp_path).parts == (
        *("timings", "20260101-000000-abcd", "fewshot-triplet.json"),
    )
    records.write_json(path, asdict(found))
    larger = replace(found, conditions=found.conditions.at_batch_scale(4), batch=512)
    assert timings.write(tmp_path, larger).name == "fewshot-triplet-x4.json"
    assert timings.of_session(tmp_path, found.session) == {
        "fewshot:triplet": found,
        "fewshot:triplet x4": larger,
    }
    assert timings.sessions(tmp_path) == {found.session}
    one, other = larger.conditions, found.conditions
    assert timings.of_speed(one) != timings.of_speed(other)
    assert timings.of_speed_at_any_batch(one) == timings.of_speed_at_any_batch(other)
    records.write_json(path, {**asdict(found), "schema_version": 99})
    with pytest.raises(RequestError, match="schema version 99"):
        timings.read(path)
    path.write_text("[]")
    with pytest.raises(RequestError, match="is not a timing"):
        timings.read(path)


def test_names_are_unique() -> None:
    assert timings.names(["torch:eager", "jax:jit", "torch:eager", "torch:eager"]) == [
        *("torch:eager", "jax:jit", "torch:eager#2", "torch:eager#3"),
    ]
