"""``torch:graph`` without a GPU: what is replayed is not kernels but the work, on the same memory.

That inputs, rates and losses are where a graph looks for them, and that its warm-up leaves nothing
behind, shows here; that all of it can be captured shows on a GPU alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

import backends.torch
import tasks
from backends.program import Unavailable
from tasks.optimizers import Adam, Cosine, Optimizer
from tests.backends import programs, test_tasks
from tests.backends.conftest import Call
from tests.backends.programs import assert_same
from tests.backends.test_modes import trained_twice
from tests.tasks.tiny import tiny
from tests.tiny import RMSPROP

Graph = Callable[..., Any]
CHOICES = [
    ("fewshot", "siamese"),
    ("fewshot", "triplet"),
    ("imdb_text", "bow_batchnorm"),
    ("imdb_text", "embedding"),
    ("lstm", None),
    ("transformer", None),
]
ADAM = Adam(1e-2, 0.9, 0.999, 1e-8, schedule=Cosine(10), clip=0.3)

pytest.importorskip("torch")


def _configure() -> None:
    backends.torch.configure("cpu", 1, "float64", "eager")
    backends.torch.mode = "graph"
    from backends.torch import graphs

    graphs.recorded = lambda work: work  # a capture runs nothing


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    """``graph(function, *arguments)`` runs it where steps are replayed."""
    with ProcessPoolExecutor(1, get_context("spawn"), _configure) as pool:
        yield lambda function, *given: pool.submit(function, "torch", *given).result()


@pytest.mark.parametrize("optimizer", [RMSPROP, ADAM], ids=lambda o: type(o).__name__)
def test_it_trains_as_numpy_does_and_captures_once(
    graph: Graph, call: Call, optimizer: Optimizer
) -> None:
    state = programs.initial(optimizer, "float64")
    losses, end, counts = graph(trained_twice, state, optimizer)
    expected, numpy_end, _ = call("numpy", "float64", trained_twice, state, optimizer)
    np.testing.assert_allclose(losses, expected, rtol=1e-13)
    assert_same(end, numpy_end, 1e-13)
    assert counts == [1, 1]


@pytest.mark.parametrize("choice", CHOICES, ids=[":".join(filter(None, c)) for c in CHOICES])
def test_a_task_is_the_same_model(graph: Graph, call: Call, choice: tasks.Choice) -> None:
    state = test_tasks.initial(choice, "float64")
    chunks = test_tasks.training_chunks(tiny(choice))
    losses, end = graph(test_tasks.train, choice, state, chunks, None)
    given = (choice, state, chunks, None)
    expected, numpy_end = call("numpy", "float64", test_tasks.train, *given)
    np.testing.assert_allclose(losses, expected, rtol=1e-10)
    assert_same(end, numpy_end, 1e-8)


def test_dropout_is_drawn_from_seed_and_step(graph: Graph, call: Call) -> None:
    choice = ("imdb_text", "bow_dropout")
    state = test_tasks.initial(choice, "float64")
    chunks = test_tasks.training_chunks(tiny(choice))
    losses, _ = graph(test_tasks.train, choice, state, chunks, 1)
    eager, _ = call("torch", "float64", test_tasks.train, choice, state, chunks, 1)
    other, _ = graph(test_tasks.train, choice, state, chunks, 2)
    np.testing.assert_allclose(losses, eager, rtol=1e-10)
    assert not np.allclose(losses, other, rtol=1e-3)


def test_there_are_no_graphs_on_the_cpu() -> None:
    with pytest.raises(Unavailable, match=r"torch:graph .* --device cuda"):
        backends.torch.configure("cpu", 1, "float32", "graph")
