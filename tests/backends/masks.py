"""A task with dropout, whose masks are read off the gradients of a real program."""

from __future__ import annotations

import numpy as np

from tasks.datasets.imdb import IMDB
from tasks.imdb_text import BagConfig, BagOfWords
from tasks.task import Array, Provenance, State
from tests.backends.programs import kept

UNITS, RATE = 400, 0.3
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
    program = kept(backend, "one review a step", task, initial, seed)
    placed = program.place(next(task.chunks("train")))
    found = {}
    for step in steps:
        program.restore(State(params, initial.slots, step=step))
        _, g = program.gradients(placed)
        second = g["output.kernel"][:, 0] / g["output.bias"]
        column = int(np.argmax(second))
        found[step] = (g["hidden.kernel"][:, column] / g["hidden.bias"][column], second)
    return found
