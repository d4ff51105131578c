"""Steps that were planted are found, and where nothing was planted nothing is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from suite.history.steps import FEWEST, Level, find_levels

RATE = 1e5


def noise(seed: int, count: int, size: float) -> np.ndarray:
    found: np.ndarray = size * np.random.default_rng(seed).standard_normal(count)
    return found


def levels(logarithms: np.ndarray) -> list[Level]:
    return find_levels((RATE * np.exp(logarithms)).tolist())


def test_a_step_of_a_fifth_is_found_where_it_is() -> None:
    for seed in range(20):
        planted = noise(seed, 20, 0.02) - np.where(np.arange(20) < 12, 0, np.log(1.2))
        before, after = levels(planted)
        assert (before.start, before.end, after.start, after.end) == (0, 12, 12, 20)
        assert after.value / before.value == pytest.approx(1 / 1.2, rel=0.05)


def test_a_slow_creep_is_a_staircase_though_no_session_stands_out() -> None:
    for seed in range(20):
        creep = noise(seed, 30, 0.02) - 0.01 * np.arange(30)
        found = levels(creep)
        assert len(found) > 2
        assert all(b.value < a.value for a, b in pairwise(found))
        assert found[-1].value / found[0].value == pytest.approx(np.exp(-0.24), rel=0.1)


@pytest.mark.parametrize("count", [4, 6, 12, 40])
@pytest.mark.parametrize("size", [0.01, 0.03, 0.06])
def test_in_noise_alone_there_is_hardly_ever_a_step(count: int, size: float) -> None:
    found = [len(levels(noise(seed, count, size))) > 1 for seed in range(100)]
    assert sum(found) <= 8  # 4 are expected in the long run


def test_one_value_apart_is_no_level_and_two_are() -> None:
    assert len(find_levels([1, 1, 1, 1, 5, 1, 1, 1])) == 1
    assert [(x.start, x.end) for x in find_levels([1, 1, 1, 1, 5, 5])] == [(0, 4), (4, 6)]


def test_changes_that_are_small_are_no_steps_until_they_add_up() -> None:
    assert len(find_levels([1.0] * 6 + [1.04] * 6)) == 1
    first, second = find_levels([1.0] * 6 + [1.04] * 6 + [1.08] * 6)
    assert (first.value, second.value) == pytest.approx((1.0, 1.08), rel=0.02)


def test_the_unit_does_not_matter() -> None:
    values = [1.0, 1.02, 0.99, 1.01, 1.2, 1.21, 1.19, 1.2]
    for unit in (1e-6, 1.0, 1e6):
        assert [x.start for x in find_levels([unit * v for v in values])] == [0, 4]


def test_of_few_values_nothing_can_be_said() -> None:
    assert find_levels([1.0, 1.0, 2.0]) == []
    assert len(find_levels([1.0, 1.0, 2.0, 2.0])) == 2
    assert FEWEST == 4
