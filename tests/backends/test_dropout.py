"""Dropout is determined by (seed, step); its masks are read off the gradients of a real program."""

from __future__ import annotations

import importlib
import itertools

import numpy as np
import pytest

import backends
from tasks.datasets.imdb import IMDB
from tasks.imdb_text import BagConfig, BagOfWords
from tasks.task import Array, Provenance, State
from tests.backends.conftest import Call

UNITS, RATE, SEED = 400, 0.3, 5
Masks = tuple[Array, Array]


def one_review_a_step() -> BagOfWords:
    """``bow_dropout`` with wide layers, on reviews of three words."""
    count = 4
    data = IMDB(
        words=dict.fromkeys(("train", "test"), np.arange(3 * count, dtype=np.int32)),
        offsets=dict.fromkeys(("train", "test"), 3 * np.arange(count + 1)),
        labels=dict.fromkeys(("train", "test"), np.zeros(count, np.uint8)),
        provenance=Provenance("imdb", "generated", "tiny"),
    )
    config = BagConfig(
        words=12,
        hidden=UNITS,
        dropout=RATE,
        batch=1,
        chunk_steps=1,
        train_reviews=count,
        test_reviews=count,
    )
    return BagOfWords(config, "smoke", "bow_dropout", data)


def masks(backend: str, seed: int | None, steps: tuple[int, ...]) -> dict[int, Masks]:
    """By step, what the units of the two hidden layers were multiplied by.

    Every unit is made 1 by its bias. Then the gradient of the output's kernel is the second mask
    times that of the output's bias, and that of a column of the hidden kernel the first mask times
    that of the column's bias.
    """
    task = one_review_a_step()
    initial = task.initial(0)
    params = {name: np.zeros_like(leaf) for name, leaf in initial.params.items()}
    params["bag.bias"][:] = params["hidden.bias"][:] = 1
    params["output.kernel"][:] = 1e-3
    module = importlib.import_module(f"backends.{backend}.imdb_text")
    program = module.build(task, initial, seed)
    placed = program.place(next(task.chunks("train")))
    found = {}
    for step in steps:
        program.restore(State(params, initial.slots, step=step))
        _, g = program.gradients(placed)
        second = g["output.kernel"][:, 0] / g["output.bias"]
        column = int(np.argmax(second))
        found[step] = (g["hidden.kernel"][:, column] / g["hidden.bias"][column], second)
    return found


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
