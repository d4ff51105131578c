"""Dropout is determined by (seed, step); its masks are read off the gradients of a real program."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import backends
from tests.backends.conftest import Call
from tests.backends.masks import RATE, UNITS, masks

SEED = 5


@pytest.mark.parametrize("backend", backends.NAMES)
class TestDropout:
    def test_it_drops_at_its_rate_and_scales_what_is_left(self, call: Call, backend: str) -> None:
        found = call(backend, "float32", masks, SEED, tuple(range(10)))
        drawn = np.concatenate([np.concatenate(pair) for pair in found.values()])
        dropped = np.abs(drawn) < 1e-6
        np.testing.assert_allclose(drawn[~dropped], 1 / (1 - RATE), rtol=1e-5)
        deviation = np.sqrt(RATE * (1 - RATE) / len(drawn))
        assert abs(dropped.mean() - RATE) < 4 * deviation

    def test_it_is_the_same_for_the_same_seed_and_step(self, call: Call, backend: str) -> None:
        one, again = (call(backend, "float32", masks, SEED, steps) for steps in ((3, 7), (7,)))
        for a, b in zip(one[7], again[7], strict=True):
            np.testing.assert_array_equal(a, b)

    def test_steps_layers_and_seeds_are_independent(self, call: Call, backend: str) -> None:
        found = call(backend, "float32", masks, SEED, (0, 1, 2, 1_000))
        other = call(backend, "float32", masks, SEED + 1, (0, 1))
        drawn = [mask > 0 for pair in (*found.values(), *other.values()) for mask in pair]
        for a, b in itertools.combinations(drawn, 2):
            # of independent masks, the correlation has standard deviation 1 / sqrt(UNITS)
            assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(UNITS)

    def test_without_a_seed_there_is_none(self, call: Call, backend: str) -> None:
        for mask in call(backend, "float32", masks, None, (3,))[3]:
            np.testing.assert_allclose(mask, 1, rtol=1e-5)
