"""Few-shot recognition learns a chunk by heart; the tests of all tasks show that backends agree."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from tasks.optimizers import Adam
from tests.tasks.tiny_fewshot import tiny_task


@pytest.mark.parametrize("variant", ["siamese", "triplet"])
def test_a_chunk_is_learned_by_heart(variant: str) -> None:
    task = tiny_task(variant, 0.0)
    task.optimizer = Adam(1e-2, 0.9, 0.999, 1e-8)
    program = importlib.import_module("backends.numpy.fewshot").build(task, task.initial(0), 0)
    placed = program.place(next(task.chunks("train", 0)))
    losses = np.concatenate([program.train(placed) for _ in range(150)])
    assert losses[-2:].max() < losses[:2].min() / 5
